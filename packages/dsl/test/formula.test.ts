// Formulas: canonical forms, printing, derivatives and needs, each against what one would write by hand.
import { assert, describe, it } from "@effect/vitest"
import { derivative, gradients, substitute } from "@penchant/dsl/Differentiate"
import * as F from "@penchant/dsl/Formula"
import { logRatio, meanLogProb, meanLogRatio } from "@penchant/dsl/Objective"
import { toLatex, toText } from "@penchant/dsl/Print"
import { simplify } from "@penchant/dsl/Simplify"

const { parameter, variable: r } = F
const [a, b, c] = [parameter("a"), parameter("b"), parameter("c")]
const text = (formula: F.Formula<F.Need, F.Rank>): string => toText(formula.node)
const simple = (formula: F.Formula<F.Need, F.Rank>) => simplify(formula.node)

describe("canonical form", () => {
  it.each([
    ["like terms", F.plus(F.plus(a, b), F.minus(a, b)), "2 a"],
    ["constants", F.minus(F.times(2, 3), F.over(1, 4)), "5.75"],
    ["zero and one", F.plus(F.times(0, a), F.times(1, b)), "b"],
    ["x - x", F.minus(a, a), "0"],
    ["x / x", F.over(F.times(a, b), a), "b"],
    ["double negation", F.negate(F.negate(a)), "a"],
    ["a product that cancels", F.minus(F.times(F.plus(a, b), F.minus(a, b)), F.square(a)), "-b²"],
    ["a square that does not", F.square(F.minus(a, b)), "(a - b)²"],
    ["a common factor", F.plus(F.times(a, b), F.times(a, c)), "a (b + c)"],
    ["log exp", F.log(F.exp(a)), "a"],
    ["exp log", F.exp(F.log(a)), "a"],
    ["exp 2 log", F.exp(F.times(2, F.log(a))), "a²"],
    ["product of exponentials", F.times(F.exp(a), F.exp(b)), "exp(a + b)"],
    ["square of an exponential", F.square(F.exp(a)), "exp(2 a)"],
    ["exponentials that cancel", F.times(F.exp(a), F.exp(F.negate(a))), "1"],
    ["log of a product", F.log(F.times(F.exp(a), r)), "log(r) + a"],
    ["log(1 + exp x)", F.log(F.plus(1, F.exp(a))), "-log σ(-a)"],
    ["log(exp x + exp y)", F.log(F.plus(F.exp(a), F.exp(b))), "b - log σ(b - a)"],
    ["log(1 - exp x)", F.log(F.minus(1, F.exp(a))), "log1mexp(a)"],
    ["softplus", F.softplus(a), "-log σ(-a)"],
    ["x - softplus x", F.minus(a, F.softplus(a)), "log σ(a)"],
    ["1 / (1 + exp x)", F.over(1, F.plus(1, F.exp(a))), "σ(-a)"],
    ["exp x / (1 + exp x)", F.over(F.exp(a), F.plus(1, F.exp(a))), "σ(a)"],
    ["1 - sigmoid", F.minus(1, F.sigmoid(a)), "σ(-a)"],
    ["log sigmoid", F.log(F.sigmoid(a)), "log σ(a)"],
    ["exp log sigmoid", F.exp(F.logSigmoid(a)), "σ(a)"],
    ["an overflow that another factor cancels", F.times(F.exp(a), F.sigmoid(b)), "exp(log σ(b) + a)"],
    ["max(x, 0)", F.max(0, a), "relu(a)"],
    ["min(x, x)", F.min(a, a), "a"],
    ["detached reference", F.detach(meanLogProb("chosen")), "detach(mean logp_w)"],
    ["nothing to detach", F.detach(F.sum(F.reference("chosen"))), "logp-ref_w"]
  ])("%s", (_, formula, expected) => assert.strictEqual(text(formula), expected))

  it("sums over tokens are linear", () => {
    const chosen = F.policy("chosen")
    const difference = F.minus(chosen, F.reference("chosen"))
    assert.deepStrictEqual(simple(F.sum(F.times(a, chosen))), simple(F.times(a, F.sum(chosen))))
    assert.deepStrictEqual(simple(F.sum(difference)), simple(logRatio("chosen")))
    assert.deepStrictEqual(simple(F.sum(F.plus(chosen, 1))), simple(F.plus(F.sum(chosen), F.length("chosen"))))
    assert.deepStrictEqual(simple(F.mean(difference)), simple(meanLogRatio("chosen")))
    assert.deepStrictEqual(simple(F.sum(F.over(chosen, F.length("chosen")))), simple(meanLogProb("chosen")))
  })

  it("one objective written two ways is one formula", () => {
    const [w, l] = [logRatio("chosen"), logRatio("rejected")]
    assert.deepStrictEqual(
      simple(F.negate(F.logSigmoid(F.times(a, F.minus(w, l))))),
      simple(F.log(F.plus(1, F.exp(F.minus(F.times(a, l), F.times(a, w))))))
    )
  })

  it("opens and closes a sort", () => {
    const w = logRatio("chosen")
    assert.strictEqual(text(F.batchSort(w)), "batch-sort(log-ratio_w)")
    assert.strictEqual(text(F.batchSort(a)), "a")
    assert.strictEqual(text(F.batchMean(F.times(a, w))), "a batch-mean(log-ratio_w)")
  })

  it("refuses what has no value", () => {
    assert.throws(() => simplify(F.over(a, F.minus(b, b)).node), /divides by zero/)
    assert.throws(() => F.constant(Number.NaN), /NaN is not a number/)
    assert.throws(() => F.times(a, Infinity), /Infinity is not a number/)
  })

  it("is plain JSON", () => {
    const node = simplify(F.negate(F.logSigmoid(F.times(a, F.minus(logRatio("chosen"), logRatio("rejected"))))).node)
    assert.deepStrictEqual(JSON.parse(JSON.stringify(node)), node)
  })
})

describe("derivative by r", () => {
  it.each([
    ["r²/2", F.times(0.5, F.square(r)), "r"],
    ["r log r - r", F.minus(F.times(r, F.log(r)), r), "log(r)"],
    ["(r + 1) log(r + 1)", F.times(F.plus(r, 1), F.log(F.plus(r, 1))), "log(r + 1) + 1"],
    ["1 / r", F.over(1, r), "-1 / r²"],
    ["exp(a log r)", F.exp(F.times(a, F.log(r))), "a exp(a log(r)) / r"],
    ["max(r, 1)", F.max(r, 1), "step(r - 1)"],
    ["a constant", a, "0"]
  ])("of %s", (_, h, expected) => assert.strictEqual(text(derivative(h)), expected))

  it("substitutes a ratio", () => {
    assert.strictEqual(text(substitute(F.square(r), F.exp(logRatio("chosen")))), "exp(2 log-ratio_w)")
  })
})

describe("gradients", () => {
  const of = (loss: F.Formula<F.Need>): Record<string, string> =>
    Object.fromEntries(Object.entries(gradients(loss.node)).map(([side, node]) => [side, toText(node)]))

  it("of a product of two sides", () => {
    assert.deepStrictEqual(of(F.times(F.sum(F.policy("chosen")), F.sum(F.policy("rejected")))), {
      chosen: "logp_l",
      rejected: "logp_w"
    })
  })
  it("per token, where tokens are transformed before they are summed", () => {
    assert.deepStrictEqual(of(F.sum(F.exp(F.policy("chosen")))), { chosen: "exp(token logp_w)" })
  })
  it("through a row value that multiplies every token", () => {
    // d/dl_t of (sum l)(sum l) = 2 sum l
    const total = F.sum(F.policy("chosen"))
    assert.deepStrictEqual(of(F.sum(F.times(total, F.policy("chosen")))), { chosen: "2 logp_w" })
  })
  it("through a row value that is added to every token", () => {
    // sum_t (exp(L) + l_t) = n exp(L) + L
    const loss = F.sum(F.plus(F.exp(F.sum(F.policy("chosen"))), F.policy("chosen")))
    assert.deepStrictEqual(of(loss), { chosen: "exp(logp_w) n_w + 1" })
  })
  it("of a batch mean is a batch mean, of a sort its inverse", () => {
    const w = F.sum(F.policy("chosen"))
    assert.deepStrictEqual(of(F.square(F.batchMean(w))), { chosen: "2 batch-mean(logp_w)" })
    assert.deepStrictEqual(of(F.square(F.batchSort(w))), { chosen: "2 logp_w" })
  })
  it("stop at detach and at running means", () => {
    const w = F.sum(F.policy("chosen"))
    assert.deepStrictEqual(of(F.times(F.detach(w), w)), { chosen: "detach(logp_w)" })
    assert.deepStrictEqual(of(F.minus(w, F.runningMean("delta", w))), { chosen: "1" })
  })
})

describe("needs", () => {
  it("are read off the tree", () => {
    const names = (formula: F.Formula<F.Need, F.Rank>): ReadonlyArray<string> => [...F.needs(formula.node)].toSorted()
    assert.deepStrictEqual(names(logRatio("chosen")), ["policy", "reference", "side:chosen"])
    assert.deepStrictEqual(names(F.times(F.column("margin"), F.length("rejected"))), ["column:margin", "side:rejected"])
    assert.deepStrictEqual(names(F.batchMean(F.column("x"))), ["batch", "column:x"])
    assert.deepStrictEqual(names(F.runningMean("delta", F.column("x"))), ["batch", "column:x", "state"])
    assert.deepStrictEqual(names(F.times(a, 2)), [])
  })
})

describe("ranks, at run time", () => {
  it("tokens of two sides cannot meet", () => {
    const chosen = F.policy("chosen") as F.Formula<"policy", any>
    assert.throws(() => F.plus(chosen, F.policy("rejected")), /tokens of chosen and rejected cannot meet/)
  })
  it("sum is over tokens, batchMean over rows", () => {
    assert.throws(() => F.sum(F.length("chosen") as F.Formula<never, any>), /one value per row already/)
    assert.throws(() => F.batchMean(F.policy("chosen") as F.Formula<"policy", any>), /reduce the tokens/)
  })
})

describe("LaTeX", () => {
  it.each([
    [
      F.logSigmoid(F.times(parameter("beta"), logRatio("chosen"))),
      String.raw`\log\sigma\left(\beta \log\frac{\pi(y_w)}{\pi_{\mathrm{ref}}(y_w)}\right)`
    ],
    [
      F.times(0.5, F.square(meanLogProb("rejected"))),
      String.raw`\tfrac{1}{2} \left(\tfrac{1}{|y_l|}\log \pi(y_l)\right)^{2}`
    ],
    [F.over(a, F.plus(b, 1)), String.raw`\frac{\mathrm{a}}{\left(\mathrm{b} + 1\right)}`],
    [F.relu(F.minus(1, F.column("my_margin"))), String.raw`\max\left(0, 1 - \mathrm{my\_margin}\right)`]
  ])("%#", (formula, expected) => assert.strictEqual(toLatex(formula.node), expected))
})
