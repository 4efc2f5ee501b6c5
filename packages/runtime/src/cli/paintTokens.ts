// Tokens on a terminal: which are the prompt, which the loss reads, and where one ends and the next begins.
import type { PreviewToken } from "../data/preview.ts"

/** What a terminal would obey is shown, not sent: data must not move the cursor, nor hide itself. */
const visible = (text: string): string =>
  text.replace(/[^\P{Cc}\n\t]/gu, (control) => `\\x${control.codePointAt(0)!.toString(16).padStart(2, "0")}`)
    .replace(/[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g, (hidden) => `\\u${hidden.charCodeAt(0).toString(16)}`)

/** What `paint` draws, for the reader. */
export const legend = (colours: boolean): string =>
  colours
    ? "\x1b[2mprompt\x1b[0m, \x1b[32mtokens \x1b[4min\x1b[24m the \x1b[4mloss\x1b[0m, \x1b[35mspecial ones\x1b[0m"
    : "⟦ ⟧: tokens in the loss; ↵: a line break among them; ⏎: a special token without text"

/**
 * In colour the prompt is dim, tokens of the loss are green, every second one underlined, and special ones magenta; else
 * tokens of the loss stand between ⟦ and ⟧.
 */
export const paint = (tokens: ReadonlyArray<PreviewToken>, colours: boolean): string =>
  tokens.map(({ loss, special, text }, index) => {
    const shown = special && text === "" ? "⏎" : loss ? visible(text).replaceAll("\n", "↵\n") : visible(text)
    if (!colours) return loss ? `⟦${shown}⟧` : shown
    const colour = special ? "35" : loss ? "32" : "2"
    return `\x1b[${
      loss ? (index % 2 === 1 ? `4;${colour}` : colour) : special ? `2;${colour}` : colour
    }m${shown}\x1b[0m`
  }).join("")
