// The win rate at equal lengths, as AlpacaEval 2 fits it: https://arxiv.org/abs/2404.04475 and
// tatsu-lab/alpaca_eval, src/alpaca_eval/metrics/glm_winrate.py. A logistic regression without intercept on a column of ones
// (the model), tanh of the standardised difference of lengths, and the difficulty of each instruction where it is known, under
// an L1 penalty whose strength is chosen by 5-fold cross-validation; then the mean prediction with the difference at nought.
// Leaves out the two gamed baselines that AlpacaEval adds with weight 0.1 each: they are judgements of its own 805 instructions.

/** [features][contests] */
type Columns = ReadonlyArray<Float64Array>

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))
/** log(1 + exp x) */
const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))

const linear = (columns: Columns, weights: Float64Array, i: number): number =>
  columns.reduce((sum, column, j) => sum + weights[j]! * column[i]!, 0)

/** Cross-entropy of soft labels over `rows`, summed. */
const loss = (columns: Columns, labels: Float64Array, rows: Int32Array, weights: Float64Array): number => {
  let sum = 0
  for (const i of rows) {
    const z = linear(columns, weights, i)
    sum += softplus(z) - labels[i]! * z
  }
  return sum
}

const penalty = (weights: Float64Array): number => weights.reduce((sum, w) => sum + Math.abs(w), 0)

/** Least |w| + strength * loss, by coordinate descent with Newton steps, as liblinear does it. */
const fit = (columns: Columns, labels: Float64Array, rows: Int32Array, strength: number): Float64Array => {
  const weights = new Float64Array(columns.length)
  let value = strength * loss(columns, labels, rows, weights)
  for (let sweep = 0; sweep < 500; sweep++) {
    let moved = 0
    for (const [j, column] of columns.entries()) {
      let [slope, curve] = [0, 1e-12]
      for (const i of rows) {
        const p = sigmoid(linear(columns, weights, i))
        slope += strength * (p - labels[i]!) * column[i]!
        curve += strength * p * (1 - p) * column[i]! ** 2
      }
      const before = weights[j]!
      const step = slope + 1 <= curve * before
        ? -(slope + 1) / curve
        : slope - 1 >= curve * before
        ? -(slope - 1) / curve
        : -before
      const promised = slope * step + Math.abs(before + step) - Math.abs(before)
      for (let share = 1; share > 1e-10; share /= 2) {
        weights[j] = before + share * step
        const now = strength * loss(columns, labels, rows, weights) + penalty(weights)
        if (now <= value + 0.01 * share * promised) {
          value = now
          break
        }
        weights[j] = before
      }
      moved = Math.max(moved, Math.abs(weights[j]! - before))
    }
    if (moved < 1e-10) break
  }
  return weights
}

/** 1e-4 to 1e4, as scikit-learn spaces them. */
const strengths = Array.from({ length: 10 }, (_, i) => 10 ** (-4 + 8 * i / 9))
const folds = 5

const rowsWhere = (count: number, keep: (i: number) => boolean): Int32Array =>
  Int32Array.from({ length: count }, (_, i) => i).filter(keep)

/** The first of the strengths whose fits of four fifths say most of the last, contests dealt to the folds in turn. */
const chosen = (columns: Columns, labels: Float64Array): number => {
  const n = labels.length
  const scores = strengths.map((strength) => {
    let score = 0
    for (let fold = 0; fold < Math.min(folds, n); fold++) {
      const held = rowsWhere(n, (i) => i % folds === fold)
      const weights = fit(columns, labels, rowsWhere(n, (i) => i % folds !== fold), strength)
      score -= loss(columns, labels, held, weights) / held.length
    }
    return score
  })
  return strengths[scores.indexOf(Math.max(...scores))]!
}

/** Sample deviation, n - 1 below. */
const deviation = (values: Float64Array): number => {
  const mean = values.reduce((a, b) => a + b, 0) / values.length
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1))
}

/**
 * `preferences` [contests] for the model's answer, 0 to 1; `lengths` [contests] of its answer less the other's, in characters;
 * `difficulties` [contests] where they are known.
 */
export const lengthControlled = (
  preferences: Float64Array,
  lengths: Float64Array,
  difficulties?: Float64Array
): number => {
  const spread = deviation(lengths)
  const columns = [
    new Float64Array(lengths.length).fill(1),
    lengths.map((length) => (spread > 0 ? Math.tanh(length / spread) : 0)),
    ...(difficulties === undefined ? [] : [difficulties])
  ]
  const weights = fit(columns, preferences, rowsWhere(lengths.length, () => true), chosen(columns, preferences))
  // At equal lengths.
  weights[1] = 0
  return preferences.reduce((sum, _, i) => sum + sigmoid(linear(columns, weights, i)), 0) / preferences.length
}
