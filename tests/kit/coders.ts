import {
  brotliCompressSync,
  brotliDecompressSync,
  deflateRawSync,
  deflateSync,
  gunzipSync,
  gzipSync,
  inflateRawSync,
  inflateSync,
  constants as zlib,
  zstdCompressSync,
  zstdDecompressSync,
} from 'node:zlib'

/** A content coding: what a head says of it, and both ways. */
export interface Coder {
  readonly name: string
  readonly header: string
  encode(bytes: Buffer): Buffer
  /** Of what may be only the beginning of it: as much as it gives. */
  decode(bytes: Buffer): Buffer
}

const soft = { finishFlush: zlib.Z_SYNC_FLUSH }

const gzip: Coder = {
  name: 'gzip',
  header: 'gzip',
  encode: (bytes) => gzipSync(bytes),
  decode: (bytes) => gunzipSync(bytes, soft),
}
const br: Coder = {
  name: 'br',
  header: 'br',
  encode: (bytes) => brotliCompressSync(bytes, { params: { [zlib.BROTLI_PARAM_QUALITY]: 4 } }),
  decode: (bytes) => brotliDecompressSync(bytes, { finishFlush: zlib.BROTLI_OPERATION_FLUSH }),
}
const zstd: Coder = {
  name: 'zstd',
  header: 'zstd',
  encode: (bytes) => zstdCompressSync(bytes),
  decode: (bytes) => zstdDecompressSync(bytes, { finishFlush: zlib.ZSTD_e_flush }),
}

export const CODERS: readonly Coder[] = [
  gzip,
  { ...gzip, name: 'x-gzip, in capitals', header: 'X-GZIP' },
  {
    name: 'deflate',
    header: 'deflate',
    encode: (bytes) => deflateSync(bytes),
    decode: (bytes) => inflateSync(bytes, soft),
  },
  {
    name: 'deflate without zlib',
    header: 'Deflate',
    encode: (bytes) => deflateRawSync(bytes),
    decode: (bytes) => inflateRawSync(bytes, soft),
  },
  br,
  zstd,
  stacked(gzip, br),
  stacked(br, zstd),
  stacked(zstd, gzip),
]

function stacked(inner: Coder, outer: Coder): Coder {
  return {
    name: `${inner.name} in ${outer.name}`,
    header: `${inner.header}, ${outer.header}`,
    encode: (bytes) => outer.encode(inner.encode(bytes)),
    decode: (bytes) => inner.decode(outer.decode(bytes)),
  }
}
