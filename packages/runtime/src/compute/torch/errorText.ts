// What libtorch below 2.13 says of a failed call. It says so in its log alone, which goes to the C++ stream std::cerr; that
// stream gets a buffer in memory. File descriptor 2 stays as it is, so nobody else's stderr is touched: Node's and C's do
// not pass through this stream. What else libtorch logs is handed on. Linux, where the stream is libstdc++'s.
import koffi from "koffi"
import * as fs from "node:fs"

const stringbuf = "NSt7__cxx1115basic_stringbufIcSt11char_traitsIcESaIcEEE"
const text = "RKNS_12basic_stringIcS2_S3_EE"

/** Made beforehand, so that two threads that fail at once never make the buffer grow. */
const capacity = 65_536
/** std::ios_base::out */
const forWriting = 16

/** Of a std::streambuf, in bytes from its start: where its text begins, and where the next goes. */
const [beginning, next] = [32n, 40n]

const word = (at: bigint): bigint => BigInt(koffi.decode(at, "uint64_t") as bigint | number)

/**
 * Symbols as libtorch's own are bound: Node carries the C++ library within and exports it, so its stream comes before that of
 * libstdc++.so.
 */
const found = () => {
  const scopes = [koffi.load(null), koffi.load("libstdc++.so.6")]
  const first = <A>(of: (scope: (typeof scopes)[number]) => A): A => {
    try {
      return of(scopes[0]!)
    } catch {
      return of(scopes[1]!)
    }
  }
  return {
    symbol: (name: string): bigint => first((scope) => BigInt(koffi.address(scope.symbol(name)))),
    func: (signature: string) => first((scope) => scope.func(signature))
  }
}

const newBuffer = ({ func }: ReturnType<typeof found>): bigint => {
  const malloc = koffi.load(null).func("uint64_t malloc(size_t)") as (size: number) => bigint | number
  const room = (size: number): bigint => BigInt(malloc(size))
  // a std::string: its characters, their number, and as many that have room
  const [buffer, string] = [room(512), room(32)]
  koffi.encode(string, "uint64_t", room(capacity))
  koffi.encode(string + 8n, "uint64_t", capacity)
  koffi.encode(string + 16n, "uint64_t", capacity)
  const construct = func(
    `void _ZNSt7__cxx1115basic_stringbufIcSt11char_traitsIcESaIcEEC1E${text}St13_Ios_Openmode(uint64_t, uint64_t, int)`
  )
  construct(buffer, string, forWriting)
  return buffer
}

/** Takes over the stream of the whole process; another thread's call finds it taken and reads the same buffer. Returns what was written since. */
export const captureLog = (): () => string => {
  const std = found()
  const cerr = std.symbol("_ZSt4cerr")
  // std::ios is a virtual base of the stream: its offset stands before the table of virtual functions
  const ios = cerr + word(word(cerr) - 24n)
  const current = BigInt(std.func("uint64_t _ZNKSt9basic_iosIcSt11char_traitsIcEE5rdbufEv(uint64_t)")(ios))
  const ours = std.symbol(`_ZTV${stringbuf}`) + 16n
  const taken = word(current) === ours
  const buffer = taken ? current : newBuffer(std)
  if (!taken) {
    std.func("uint64_t _ZNSt9basic_iosIcSt11char_traitsIcEE5rdbufEPSt15basic_streambufIcS1_E(uint64_t, uint64_t)")(
      ios,
      buffer
    )
  }
  return () => {
    const [from, to] = [word(buffer + beginning), word(buffer + next)]
    if (to === from) return ""
    const bytes = koffi.decode(from, koffi.array("uint8_t", Number(to - from), "Typed")) as Uint8Array
    koffi.encode(buffer + next, "uint64_t", from)
    return Buffer.from(bytes).toString()
  }
}

const mark = "Exception in aoti_torch: "

/** The log's last failure, its first line, and the lines that are about something else. */
export const failureIn = (log: string): { readonly failure: string | undefined; readonly rest: string } => {
  const at = log.lastIndexOf(mark)
  if (at < 0) return { failure: undefined, rest: log }
  const line = log.lastIndexOf("\n", at) + 1
  return { failure: log.slice(at + mark.length).split("\n")[0]!, rest: log.slice(0, line) }
}

/** Called after a failed call, for its reason. */
export const reasons = (): () => string => {
  if (process.platform !== "linux") return () => "libtorch wrote the reason to stderr"
  const take = captureLog()
  const handOn = (rest: string): void => {
    if (rest !== "") fs.writeSync(2, rest)
  }
  process.once("exit", () => handOn(take()))
  return () => {
    const { failure, rest } = failureIn(take())
    handOn(rest)
    return failure ?? "libtorch gave no reason"
  }
}
