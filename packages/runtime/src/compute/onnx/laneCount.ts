// In how many lanes a model runs on the onnx engine.

/** Below so many parameters a model runs in two lanes; above, matrix products keep all threads busy by themselves. */
const small = 2 ** 23
/** Identity of the numbers, since it orders sums: the same on every machine. */
export const laneCount = (parameters: number): number => parameters < small ? 2 : 1
