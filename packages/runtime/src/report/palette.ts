// Eight colours in light and dark. Searched for in OKLab: the first six stay 0.1 apart for protanopes, deuteranopes and
// tritanopes, and all reach 3:1 against their paper. A test holds both.

export interface Palette {
  readonly paper: string
  readonly colours: ReadonlyArray<string>
}

export const light: Palette = {
  paper: "#ffffff",
  colours: ["#383bb2", "#16a58d", "#1f76b2", "#b03f11", "#8a0f6f", "#b08d21", "#8975f8", "#6d6d6e"]
}

export const dark: Palette = {
  paper: "#14161a",
  colours: ["#6379e7", "#35e8b4", "#62b4ee", "#f08d4d", "#d6557f", "#f5cd3c", "#9f80b8", "#9c9ea4"]
}
