// How tokens are drawn for people: with colours, without, and when the data would steer the terminal.
import { assert, describe, it } from "@effect/vitest"
import { legend, paint } from "../../src/cli/paintTokens.ts"

const token = (text: string, { loss = false, special = false } = {}) => ({ id: 0, text, loss, special })
const answer = [
  token(" a", { loss: true }),
  token("\n", { loss: true }),
  token(" b", { loss: true }),
  token("", { loss: true, special: true })
]

describe("paint", () => {
  it("shows where tokens end, with colours and without", () => {
    assert.strictEqual(paint([token("Hi", { special: true }), token(" you\n")], false), "Hi you\n")
    assert.strictEqual(paint(answer, false), "⟦ a⟧⟦↵\n⟧⟦ b⟧⟦⏎⟧")
    assert.strictEqual(
      paint(answer, true),
      "\x1b[32m a\x1b[0m\x1b[4;32m↵\n\x1b[0m\x1b[32m b\x1b[0m\x1b[4;35m⏎\x1b[0m"
    )
    assert.strictEqual(
      paint([token("p"), token("<s>", { special: true })], true),
      "\x1b[2mp\x1b[0m\x1b[2;35m<s>\x1b[0m"
    )
    assert.notInclude(legend(false), "\x1b")
  })

  it("never sends what a terminal would obey", () => {
    const hostile = "\x1b[2J\x07\r\x9b31mé\u202eabc\u200b\ttab"
    for (const loss of [false, true]) {
      const drawn = paint([token(hostile, { loss })], false)
      assert.include(drawn, "\\x1b[2J\\x07\\x0d\\x9b31mé\\u202eabc\\u200b\ttab")
      assert.deepStrictEqual(drawn.match(/[^\P{C}\n\t]/gu), null)
    }
  })
})
