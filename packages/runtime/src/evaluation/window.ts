// How many tokens a model sees, as lm-eval reads it from the config; 2,048 where the config does not say.

const fields = ["n_positions", "max_position_embeddings", "n_ctx"]

export const windowOf = (config: unknown): number => {
  const values = fields.map((field) => (config as Readonly<Record<string, unknown>>)[field])
  return values.find((value) => typeof value === "number") ?? 2048
}
