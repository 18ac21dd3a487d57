// Mainsail's sidebar, .theme/navi.json, from stdin to stdout: `add HREF` and `remove` one link, every other byte kept.
// For every Node from 18 on: the installer runs it before the pinned one is there. Exit code 1: it is no list of links.
import { readFileSync, writeSync } from 'node:fs';

const TITLE = 'Octopus';
/** Material Design Icons, "flash". */
const ICON = 'M7,2V13H10V22L17,10H13L17,2H7Z';

const [verb, href] = process.argv.slice(2);
const text = readFileSync(0, 'utf8');
let links;
try {
  links = text.trim() === '' ? [] : JSON.parse(text);
} catch {
  process.exit(1);
}
if (!Array.isArray(links)) process.exit(1);
const at = links.findIndex((link) => typeof link === 'object' && link !== null && link.title === TITLE);
say(verb === 'add' ? added() : removed());

/** A link that is there with another target gets ours; one that is right stays untouched. */
function added() {
  const link = { title: TITLE, href, target: '_blank', icon: ICON, position: 85 };
  if (at >= 0 && links[at].href === href) return text;
  if (at >= 0) return format(links.map((one, n) => (n === at ? { ...one, href } : one)));
  const end = text.lastIndexOf(']');
  if (end < 0) return format([link]);
  const before = text.slice(0, end).trimEnd();
  return `${before}${before.endsWith('[') ? '' : ','}\n${indented(link)}\n${text.slice(end)}`;
}

function removed() {
  return at < 0 ? text : format(links.filter((_, n) => n !== at));
}

function format(list) {
  return `[\n${list.map(indented).join(',\n')}${list.length === 0 ? '' : '\n'}]\n`;
}

function indented(link) {
  return JSON.stringify(link, null, 4).replaceAll(/^/gm, '    ');
}

function say(out) {
  const bytes = Buffer.from(out);
  for (let sent = 0; sent < bytes.length;) sent += writeSync(1, bytes, sent);
}
