// What people call the nodes of a graph: exported results by their exports, what lies inside by owner and title. The order of
// points and of exports has no say, so a label means the same thing from run to run and `explain` has something to compare with.
import type { Graph, Node, Target } from "./graph.ts"

export interface Label {
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

/** Unique labels by plan key: `objectives/dpo`, `objectives/dpo › train dpo`; shared nodes by title alone. */
export const labelsOf = ({ nodes, of }: Graph, targets: ReadonlyArray<Target>): ReadonlyMap<string, Label> => {
  const exported = new Map<string, ReadonlyArray<string>>()
  for (const { label, step } of targets) {
    const key = of(step).planKey
    exported.set(key, [...(exported.get(key) ?? []), label].toSorted(less))
  }
  const named = (key: string): string => exported.get(key)![0]!
  const owners = ownersOf(nodes, exported, named)
  const candidate = ({ planKey, step: { title } }: Node): string => {
    const owner = owners.get(planKey)
    return owner === undefined ? title : `${owner} › ${title}`
  }
  const uses = new Map<string, number>()
  const titles = new Map<string, number>()
  for (const node of nodes) {
    const name = exported.has(node.planKey) ? named(node.planKey) : candidate(node)
    uses.set(name, (uses.get(name) ?? 0) + 1)
    titles.set(node.step.title, (titles.get(node.step.title) ?? 0) + 1)
  }
  const labels = new Map<string, Label>()
  const taken = new Set<string>([...exported.values()].flat())
  // Of nodes that would share a name each is told apart by its use: the input of the first of its consumers, by name.
  const firstUse = new Map<string, string>()
  for (const node of nodes.toReversed()) {
    const { planKey, step } = node
    let label = exported.has(planKey) ? named(planKey) : candidate(node)
    if (!exported.has(planKey)) {
      if (uses.get(label)! > 1) label = `${label} (${firstUse.get(planKey)!})`
      if (taken.has(label)) label = `${label} ${planKey.slice(0, 8)}`
      taken.add(label)
    }
    const spare = titles.get(step.title) === 1 && step.title !== label ? step.title : undefined
    labels.set(planKey, {
      label,
      aliases: exported.get(planKey)?.slice(1) ?? [],
      spare: exported.has(planKey) ? undefined : spare,
      exported: exported.has(planKey)
    })
    for (const [name, input] of Object.entries(node.inputs)) {
      const use = `${name} of ${label}`
      const before = firstUse.get(input.planKey)
      if (before === undefined || less(use, before) < 0) firstUse.set(input.planKey, use)
    }
  }
  return labels
}
