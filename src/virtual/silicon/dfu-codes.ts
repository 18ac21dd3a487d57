// virtual silicon: the numbers of DFU 1.1 and of ST's extension, as the chip sends and takes them.

/** DFU 1.1 table 3.2. */
export const REQUEST = {
  DETACH: 0,
  DNLOAD: 1,
  UPLOAD: 2,
  GETSTATUS: 3,
  CLRSTATUS: 4,
  GETSTATE: 5,
  ABORT: 6,
} as const;

/** DFU 1.1 section 6.1.2, bState. */
export const STATE = {
  dfuIDLE: 2,
  dfuDNLOAD_SYNC: 3,
  dfuDNBUSY: 4,
  dfuDNLOAD_IDLE: 5,
  dfuMANIFEST_SYNC: 6,
  dfuMANIFEST: 7,
  dfuUPLOAD_IDLE: 9,
  dfuERROR: 10,
} as const;
export type DfuState = (typeof STATE)[keyof typeof STATE];

/** DFU 1.1 section 6.1.2, bStatus. */
export const STATUS = {
  OK: 0x00,
  errTARGET: 0x01,
  errWRITE: 0x03,
  errERASE: 0x04,
  errADDRESS: 0x08,
  errFIRMWARE: 0x0a,
  errVENDOR: 0x0b,
  errUNKNOWN: 0x0e,
  errSTALLEDPKT: 0x0f,
} as const;
export type DfuStatus = (typeof STATUS)[keyof typeof STATUS];

/** First byte of a DNLOAD with wValue 0: AN2662 section 4.5, AN3156 section 5. */
export const COMMAND = { GET: 0x00, SET_ADDRESS: 0x21, ERASE: 0x41, READ_UNPROTECT: 0x92 } as const;

/** AN2662 section 4.4.2: what UPLOAD with wValue 0 lists. */
export const COMMANDS = Uint8Array.of(
  COMMAND.GET,
  COMMAND.SET_ADDRESS,
  COMMAND.ERASE,
  COMMAND.READ_UNPROTECT,
);

/** AN2662 section 4.4.1: `Address = ((wBlockNum - 2) * wTransferSize) + Address_Pointer`. */
export const FIRST_BLOCK = 2;
