// The protobuf wire format, as far as ONNX models need it: varints, 32-bit floats, bytes and nested messages.
// https://protobuf.dev/programming-guides/encoding

export interface Message {
  /** Integers, enums and booleans; negative ones as 64-bit two's complement. */
  readonly int: (field: number, value: number) => Message
  readonly float: (field: number, value: number) => Message
  readonly bytes: (field: number, value: Uint8Array) => Message
  readonly string: (field: number, value: string) => Message
  readonly message: (field: number, fill: (inner: Message) => void) => Message
  readonly finish: () => Uint8Array
}

const encoder = new TextEncoder()
const [varintType, bytesType, floatType] = [0, 2, 5]

export const message = (): Message => {
  let buffer = new Uint8Array(256)
  let size = 0
  const reserve = (count: number): void => {
    if (size + count <= buffer.length) return
    const wider = new Uint8Array(Math.max(2 * buffer.length, size + count))
    wider.set(buffer.subarray(0, size))
    buffer = wider
  }
  const varint = (value: number): void => {
    reserve(10)
    if (value < 0) {
      let rest = BigInt.asUintN(64, BigInt(value))
      for (; rest > 0x7fn; rest >>= 7n) buffer[size++] = Number(rest & 0x7fn) | 0x80
      buffer[size++] = Number(rest)
      return
    }
    // Division, not shifts: sizes beyond 2^31 are whole numbers still.
    let rest = value
    for (; rest > 0x7f; rest = Math.floor(rest / 128)) buffer[size++] = rest % 128 | 0x80
    buffer[size++] = rest
  }
  const put = (bytes: Uint8Array): void => {
    varint(bytes.length)
    reserve(bytes.length)
    buffer.set(bytes, size)
    size += bytes.length
  }
  const self: Message = {
    int: (field, value) => {
      varint(field << 3 | varintType!)
      varint(value)
      return self
    },
    float: (field, value) => {
      varint(field << 3 | floatType!)
      reserve(4)
      new DataView(buffer.buffer).setFloat32(size, value, true)
      size += 4
      return self
    },
    bytes: (field, value) => {
      varint(field << 3 | bytesType!)
      put(value)
      return self
    },
    string: (field, value) => self.bytes(field, encoder.encode(value)),
    message: (field, fill) => {
      const inner = message()
      fill(inner)
      return self.bytes(field, inner.finish())
    },
    finish: () => buffer.slice(0, size)
  }
  return self
}
