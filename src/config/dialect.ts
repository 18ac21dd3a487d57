// Configuration: where Klipper and Moonraker read the same kind of file differently.

export interface Dialect {
  /** Where the comment of a line starts, or -1. */
  readonly commentAt: (text: string) => number;
  /** What a line says once its comment is cut off. */
  readonly unescape: (content: string) => string;
  /** The name in a section's header, or undefined when the line is none. */
  readonly header: (content: string) => string | undefined;
  readonly tabWidth: number;
  /** A second section or key of the same name: an error, or the same section again where the last key counts. */
  readonly duplicates: 'refuse' | 'join';
  /** Whether an empty line inside a value of several lines is part of it; one that `#` empties is, one of `;` is not. */
  readonly keepsBlankLines: boolean;
  /** Characters that no editor shows are refused. */
  readonly refusesControls: boolean;
}

/** moonraker.conf, and our own files: confighelper.py. `key: a \# b` is the value `a # b`. */
export const MOONRAKER: Dialect = {
  commentAt: (text) => text.search(/(?:^|(?<=\s))[#;]/),
  unescape: (content) => content.replaceAll(/(?<=\s)\\(?=[#;])/g, ''),
  header: (content) => /^\[([^[\]]+)\]$/.exec(content)?.[1]?.trim(),
  tabWidth: 4,
  duplicates: 'refuse',
  keepsBlankLines: false,
  refusesControls: true,
};

/** printer.cfg: configfile.py. `#` ends a line wherever it stands, `;` only behind a space. */
export const KLIPPER: Dialect = {
  commentAt: (text) => text.search(/#|(?:^|(?<=\s));/),
  unescape: (content) => content,
  header: (content) => /^\[(.+)\]/s.exec(content)?.[1],
  tabWidth: 1,
  duplicates: 'join',
  keepsBlankLines: true,
  refusesControls: false,
};
