// What programs use: the runtime as a layer, and `main` for pipeline files that are run by plain Node.
export { main } from "./cli/inProcess.ts"
export { Engine } from "./compute/Engine.ts"
export { Experiment } from "./experiment/Experiment.ts"
export { Progress } from "./platform/Progress.ts"
export * as Runtime from "./Runtime.ts"
