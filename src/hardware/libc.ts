// Hardware, the system calls that Node has no function for, through koffi: it comes compiled for every architecture of
// a Raspberry Pi, and takes 2 MB of memory. Everything here returns within microseconds, so nothing waits in a thread
// but for `waitIoctl`: errno belongs to the thread that called, and koffi keeps it for the callback alone.
import { systemError, textOf } from './system-error.ts';

export interface Interest {
  readonly readable?: boolean;
  readonly writable?: boolean;
}

export interface Watch {
  /** What is waited for from now on. */
  wants(interest: Interest): void;
  /** Before the descriptor is closed. */
  stop(): void;
}

/** Bytes outside of Node's heap, for what the kernel knows by its address beyond a call. */
export interface Memory {
  readonly address: bigint;
  readonly bytes: Uint8Array;
  /** The bytes must not be touched after this. */
  free(): void;
}

/** Every function throws an Error with `code` as Node's own do: `EBUSY`. */
export interface Libc {
  /** Of a pointer, in what the kernel gets from this process: 8, or 4 on 32-bit ARM. */
  readonly pointerBytes: number;
  /** Zeroed. */
  allocate(sizeBytes: number): Memory;
  /** The kernel reads and writes the bytes of `argument`. */
  ioctl(fd: number, request: number, argument: Uint8Array | number): void;
  /** The same, with an address too, where a refusal is an answer: errno, or 0. An Error costs many times the call. */
  tryIoctl(fd: number, request: number, argument: Uint8Array | bigint): number;
  /** The same in a thread, for what may take longer than microseconds. */
  waitIoctl(fd: number, request: number, argument: bigint): Promise<void>;
  flock(fd: number, operation: number): void;
  /**
   * What the page cache has of a file goes, so that the next read comes from the disk. A hint: it may stay all the same.
   * errno, or 0.
   */
  forgetPages(fd: number): number;
  socket(domain: number, type: number, protocol: number): number;
  bind(fd: number, address: Uint8Array): void;
  /** One datagram, to an address of the socket's family; `EAGAIN` when it would have to wait. */
  sendto(fd: number, data: Uint8Array, address: Uint8Array): void;
  setsockopt(fd: number, level: number, name: number, value: Uint8Array): void;
  /** Calls `onReady` when the descriptor can be read or written, or has an error to tell; on Node's own event loop. */
  watch(fd: number, interest: Interest, onReady: () => void): Watch;
}

let loading: Promise<Libc | string> | undefined;

/** The libc of this process, or why there is none. */
export function loadLibc(): Promise<Libc | string> {
  loading ??= load().catch((error: unknown) => `koffi does not load (${textOf(error)})`);
  return loading;
}

async function load(): Promise<Libc> {
  const { default: koffi } = await import('koffi');
  const library = koffi.load(null);
  const call = (name: string, args: string): ((...values: unknown[]) => number) => {
    const native = library.func(`int ${name}(${args})`);
    return (...values) => {
      const result = Number(native(...values));
      if (result < 0) throw systemError(name, koffi.errno());
      return result;
    };
  };
  // Linux passes variadic arguments as others on x86-64, arm64 and armhf.
  const nativeIoctl = library.func('int ioctl(int fd, unsigned long request, void *argument)');
  const ioctlAt = call('ioctl', 'int fd, unsigned long request, void *argument');
  const ioctlOf = call('ioctl', 'int fd, unsigned long request, long argument');
  const flock = call('flock', 'int fd, int operation');
  // It answers with the error itself; on 32-bit ARM off_t is a long, too.
  const forget = call('posix_fadvise', 'int fd, long offset, long length, int advice');
  const socket = call('socket', 'int domain, int type, int protocol');
  const bind = call('bind', 'int fd, void *address, unsigned int length');
  // ssize_t: a datagram of ours is far from what an int holds.
  const sendto = call(
    'sendto',
    'int fd, void *data, size_t size, int flags, void *address, unsigned int length',
  );
  const setsockopt = call('setsockopt', 'int fd, int level, int name, void *value, unsigned int length');
  return {
    pointerBytes: koffi.sizeof('void *'),
    allocate: (sizeBytes) => {
      const address: unknown = koffi.alloc('uint8_t', sizeBytes);
      if (typeof address !== 'bigint') throw new Error('koffi gives no address');
      const bytes = new Uint8Array(koffi.view(address, sizeBytes));
      return { address, bytes: bytes.fill(0), free: () => koffi.free(address) };
    },
    tryIoctl: (fd, request, argument) => (Number(nativeIoctl(fd, request, argument)) < 0 ? koffi.errno() : 0),
    waitIoctl: (fd, request, argument) =>
      new Promise((resolve, reject) => {
        nativeIoctl.async(fd, request, argument, (error: unknown, result: unknown) => {
          if (error instanceof Error) reject(error);
          else if (Number(result) < 0) reject(systemError('ioctl', koffi.errno()));
          else resolve();
        });
      }),
    ioctl: (fd, request, argument) =>
      void (typeof argument === 'number' ? ioctlOf : ioctlAt)(fd, request, argument),
    flock: (fd, operation) => void flock(fd, operation),
    forgetPages: (fd) => forget(fd, 0, 0, POSIX_FADV_DONTNEED),
    socket: (domain, type, protocol) => socket(domain, type, protocol),
    bind: (fd, address) => void bind(fd, address, address.length),
    sendto: (fd, data, address) =>
      void sendto(fd, data, data.length, MSG_DONTWAIT | MSG_NOSIGNAL, address, address.length),
    setsockopt: (fd, level, name, value) => void setsockopt(fd, level, name, value, value.length),
    watch: (fd, interest, onReady) => startWatch(koffi.node.poll, fd, interest, onReady),
  };
}

/** Linux include/uapi/linux/fadvise.h */
const POSIX_FADV_DONTNEED = 4;

/** Linux include/linux/socket.h */
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;

type Poll = (typeof import('koffi'))['node']['poll'];

/**
 * libuv's poll. Its callback comes outside of any turn of Node's (promises that it resolves would wait for the next
 * event), so the work is done in a turn of its own. After an error libuv has stopped watching: it is told to go on, and
 * whoever reads gets the error itself and stops.
 */
function startWatch(poll: Poll, fd: number, first: Interest, onReady: () => void): Watch {
  let interest = first;
  let isDue = false;
  let isOver = false;
  // Its type has one argument; really libuv's status comes first.
  const onPoll = (...[status]: unknown[]): void => {
    if (isDue || isOver) return;
    isDue = true;
    setImmediate(() => {
      isDue = false;
      if (!isOver) onReady();
      if (!isOver && typeof status === 'number' && status < 0) handle.start(interest, onPoll);
    });
  };
  const handle = poll(fd, interest, onPoll);
  return {
    wants: (next) => {
      if (isOver) return;
      interest = next;
      handle.start(interest, onPoll);
    },
    stop: () => {
      if (isOver) return;
      isOver = true;
      handle.close();
    },
  };
}
