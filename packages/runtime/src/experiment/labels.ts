// What people call the nodes of a graph: exported results by their exports, what lies inside by owner and title. The order of
// points and of exports has no say, so a label means the same thing from run to run and `explain` has something to compare with.
import type { Graph, Node, Target } from "./graph.ts"

export interface Label {
  /** The file that the step was met in, relative to where the state directory lies; "" in a program. */
  readonly pipeline: string
  readonly label: string
  /** Further exports of the same result. */
  readonly aliases: ReadonlyArray<string>
  /** Another name under which an earlier run may have recorded it: a node that two results share loses its owner. */
  readonly spare: string | undefined
  readonly exported: boolean
}

const less = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** The one result that reaches each inner node without passing another; undefined when several do. */
const ownersOf = (
  nodes: ReadonlyArray<Node>,
  exported: ReadonlyMap<string, unknown>,
  named: (key: string) => string
) => {
  const owners = new Map<string, string | undefined>()
  for (const node of nodes.toReversed()) {
    const owner = exported.has(node.planKey) ? named(node.planKey) : owners.get(node.planKey)
    for (const { planKey } of Object.values(node.inputs)) {
      owners.set(planKey, !owners.has(planKey) || owners.get(planKey) === owner ? owner : undefined)
    }
  }
  return owners
}

const count = (counts: Map<string, number>, key: string): void => {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

/** Unique labels by plan key: `objectives/dpo`, `objectives/dpo › train dpo`; shared nodes by title alone. */
export const labelsOf = (
  { nodes, of }: Graph,
  targets: ReadonlyArray<Target>,
  pipeline: string
): ReadonlyMap<string, Label> => {
  const exported = new Map<string, ReadonlyArray<string>>()
  for (const { label, step } of targets) {
    const key = of(step).planKey
    exported.set(key, [...(exported.get(key) ?? []), label].toSorted(less))
  }
  const named = (key: string): string => exported.get(key)![0]!
  const owners = ownersOf(nodes, exported, named)
  const wanted = new Map<string, string>()
  const uses = new Map<string, number>()
  const titles = new Map<string, number>()
  for (const { planKey, step: { title } } of nodes) {
    const owner = owners.get(planKey)
    const name = exported.has(planKey) ? named(planKey) : owner === undefined ? title : `${owner} › ${title}`
    wanted.set(planKey, name)
    count(uses, name)
    count(titles, title)
  }
  const labels = new Map<string, Label>()
  const taken = new Set<string>([...exported.values()].flat())
  // Of nodes that would share a name each is told apart by its use: the input of the first of its consumers, by name.
  const firstUse = new Map<string, string>()
  for (const node of nodes.toReversed()) {
    const { planKey, step } = node
    const isExport = exported.has(planKey)
    const name = wanted.get(planKey)!
    let label = name
    if (!isExport) {
      if (uses.get(name)! > 1) label = `${name} (${firstUse.get(planKey)!})`
      if (taken.has(label)) label = `${label} ${planKey.slice(0, 8)}`
      taken.add(label)
    }
    labels.set(planKey, {
      pipeline,
      label,
      aliases: isExport ? exported.get(planKey)!.slice(1) : [],
      spare: !isExport && step.title !== label && titles.get(step.title) === 1 ? step.title : undefined,
      exported: isExport
    })
    for (const [input, { planKey: needed }] of Object.entries(node.inputs)) {
      if (uses.get(wanted.get(needed)!) === 1) continue
      const use = `${input} of ${label}`
      const before = firstUse.get(needed)
      if (before === undefined || less(use, before) < 0) firstUse.set(needed, use)
    }
  }
  return labels
}
