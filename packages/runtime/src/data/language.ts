// A guess at the language of a text: by its script, and within the Latin script by the commonest words. For profiles of
// data, where a share of many rows is read; of a single short text it can be wrong.

const scripts: ReadonlyArray<readonly [string, RegExp]> = [
  ["Japanese", /[\p{Script=Hiragana}\p{Script=Katakana}]/gu],
  ["Chinese", /\p{Script=Han}/gu],
  ["Korean", /\p{Script=Hangul}/gu],
  ["Russian or another in Cyrillic", /\p{Script=Cyrillic}/gu],
  ["Arabic script", /\p{Script=Arabic}/gu],
  ["Hebrew", /\p{Script=Hebrew}/gu],
  ["Devanagari script", /\p{Script=Devanagari}/gu],
  ["Greek", /\p{Script=Greek}/gu],
  ["Thai", /\p{Script=Thai}/gu]
]

const words: Readonly<Record<string, ReadonlySet<string>>> = {
  English: new Set(
    "the of and to in is that it for you was with on as are this be not have what can your i".split(" ")
  ),
  German: new Set("der die und das ist nicht ich ein eine zu den mit sie auf für es wie auch von dem".split(" ")),
  French: new Set("le la les de et est un une je vous que pas des pour dans ce qui avec sur au".split(" ")),
  Spanish: new Set("el los de que y en es un una por con no para las se su lo como más pero".split(" ")),
  Portuguese: new Set("o os de que e em é um uma não com para as se por do da você mais como".split(" ")),
  Italian: new Set("il di che e è un una non per con sono si lo gli della mi come anche del più".split(" ")),
  Dutch: new Set("de het een en van ik is dat niet je op te zijn met voor er maar aan ook als".split(" "))
}

/** Characters of a text that are looked at. */
const enough = 2000

/** Different common words that make a guess: fewer are met by chance, in a name or a line of code. */
const evidence = 3

/** The language; `"unclear"` for Latin text with too few common words of any, `"no letters"`. */
export const languageOf = (text: string): string => {
  const part = text.slice(0, enough)
  const latin = part.match(/\p{Script=Latin}/gu)?.length ?? 0
  let [most, name] = [latin, latin === 0 ? "no letters" : ""]
  for (const [script, pattern] of scripts) {
    // A character of a script without spaces stands for several letters.
    const count = (part.match(pattern)?.length ?? 0) * (script === "Japanese" ? 6 : script === "Chinese" ? 3 : 1)
    if (count > most) [most, name] = [count, script]
  }
  if (name !== "") return name
  const counts = Object.keys(words).map((language) => ({ language, count: 0 }))
  for (const word of new Set(part.toLowerCase().match(/\p{L}+/gu) ?? [])) {
    for (const one of counts) if (words[one.language]!.has(word)) one.count += 1
  }
  const best = counts.reduce((a, b) => (b.count > a.count ? b : a))
  return best.count < evidence ? "unclear" : best.language
}
