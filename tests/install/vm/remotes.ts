// What a printer reaches over the network, served on this host's loopback and seen in the guest at HOST_ADDRESS: an npm
// registry that has what the lock file names, and the git repository. Both can be cut off.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, cpSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const repo = resolve(import.meta.dirname, '../../..');

interface Locked {
  readonly version: string;
  readonly integrity: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly bin?: unknown;
  readonly engines?: unknown;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly hasInstallScript?: boolean;
}

/** npm's own cache, filled by npm itself with what a printer installs, whatever the processor here. */
function filledCache(): string {
  const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'octopus-flasher-tests/npm');
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(tmpdir(), 'octopus-npm-'));
  try {
    for (const name of ['package.json', 'package-lock.json', '.npmrc'])
      cpSync(join(repo, name), join(work, name));
    const args = ['ci', '--omit=dev', '--ignore-scripts', '--prefer-offline', '--silent', '--cache', cache];
    execFileSync('npm', args, { cwd: work, stdio: ['ignore', 'ignore', 'inherit'] });
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return cache;
}

/** Where cacache, npm's store, keeps what has this hash. */
function contentOf(cache: string, integrity: string): string {
  const [algorithm = '', base64 = ''] = integrity.split('-');
  const hex = Buffer.from(base64, 'base64').toString('hex');
  return join(cache, '_cacache/content-v2', algorithm, hex.slice(0, 2), hex.slice(2, 4), hex.slice(4));
}

export class Remotes {
  readonly port: number;
  /** What was asked for since the start: `npm ws`, `tarball ws-8.23.0.tgz`, `git /octopus-flasher.git/info/refs`. */
  readonly asked: string[] = [];
  /** The bare repository that is served. */
  readonly repository: string;
  /** As a host that is not reached: each connection is dropped. */
  cutOff: 'nothing' | 'npm' | 'everything' = 'nothing';
  readonly #server: Server;
  readonly #cache = filledCache();
  readonly #packages = new Map<string, Locked[]>();

  private constructor(repository: string, server: Server, port: number) {
    [this.repository, this.#server, this.port] = [repository, server, port];
    const lock = JSON.parse(readFileSync(join(repo, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, Locked>;
    };
    for (const [path, entry] of Object.entries(lock.packages)) {
      const name = path.split('node_modules/').at(-1) ?? '';
      if (name !== '') this.#packages.set(name, [...(this.#packages.get(name) ?? []), entry]);
    }
    server.on('request', (request, response) => {
      const isGit = request.url?.includes('.git/') === true;
      if (this.cutOff === 'everything' || (this.cutOff === 'npm' && !isGit)) request.socket.destroy();
      else this.#answer(request, response);
    });
  }

  /** @param repository a bare one; whatever is pushed into it later is seen. */
  static async serve(repository: string): Promise<Remotes> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Remotes(repository, server, (server.address() as AddressInfo).port);
  }

  async close(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { pathname, search } = new URL(request.url ?? '/', 'http://registry');
    const path = decodeURIComponent(pathname);
    if (path.includes('.git/')) {
      this.asked.push(`git ${path}`);
      this.#git(request, response, path, search.slice(1));
      return;
    }
    const tarball = /^\/(.+)\/-\/[^/]+-(\d[^/]*)\.tgz$/.exec(path);
    const name = tarball?.[1] ?? path.slice(1);
    const versions = this.#packages.get(name) ?? [];
    this.asked.push(tarball === null ? `npm ${name}` : `tarball ${path.split('/').at(-1) ?? ''}`);
    const wanted = versions.find(({ version }) => version === tarball?.[2]);
    const file = wanted === undefined ? '' : contentOf(this.#cache, wanted.integrity);
    if (tarball !== null && existsSync(file)) response.end(readFileSync(file));
    else if (tarball === null && versions.length > 0)
      response.end(JSON.stringify(packument(name, versions, request)));
    else response.writeHead(404).end('{}');
  }

  /** git's own program for this; RFC 3875. */
  #git(request: IncomingMessage, response: ServerResponse, path: string, query: string): void {
    const program = spawn('git', ['http-backend'], {
      env: {
        PATH: process.env['PATH'],
        GIT_PROJECT_ROOT: resolve(this.repository, '..'),
        GIT_HTTP_EXPORT_ALL: '1',
        // Made by another user than who asks here, in CI.
        GIT_CONFIG_COUNT: '1',
        GIT_CONFIG_KEY_0: 'safe.directory',
        GIT_CONFIG_VALUE_0: '*',
        PATH_INFO: path,
        QUERY_STRING: query,
        REQUEST_METHOD: request.method,
        CONTENT_TYPE: request.headers['content-type'] ?? '',
        HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
        GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
      },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    request.pipe(program.stdin).on('error', () => {});
    const parts: Buffer[] = [];
    program.stdout.on('data', (part: Buffer) => parts.push(part));
    program.on('close', () => {
      const whole = Buffer.concat(parts);
      const end = whole.indexOf('\r\n\r\n');
      for (const line of whole.subarray(0, end).toString().split('\r\n')) {
        const [, header = '', value = ''] = /^([^:]+): *(.*)$/.exec(line) ?? [];
        if (header === 'Status') response.statusCode = Number.parseInt(value, 10);
        else if (header !== '') response.setHeader(header, value);
      }
      response.end(whole.subarray(end + 4));
    });
  }
}

/** What a registry says of a package, as far as `npm ci` asks. */
function packument(name: string, versions: readonly Locked[], { headers }: IncomingMessage): object {
  const entries = versions.map(({ integrity, ...rest }) => [
    rest.version,
    {
      name,
      ...rest,
      dist: {
        integrity,
        tarball: `http://${headers.host ?? ''}/${name}/-/${name.split('/').at(-1)}-${rest.version}.tgz`,
      },
    },
  ]);
  return { name, 'dist-tags': { latest: versions.at(-1)?.version }, versions: Object.fromEntries(entries) };
}
