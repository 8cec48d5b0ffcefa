import {
  brotliDecompressSync,
  gunzipSync,
  type InputType,
  inflateRawSync,
  inflateSync,
  type ZlibOptions,
  zstdDecompressSync,
} from 'node:zlib'
import type { Coding } from './codings.ts'
import { isZlib, ZSTD_PARAMS } from './decoding.ts'
import { ZstdFrames } from './zstd-frames.ts'

/** With `info`, which the types do not know: the engine tells how much of the input it used. */
type Unpack = (bytes: InputType, options: ZlibOptions) => unknown
interface Unpacked {
  readonly buffer: Buffer
  readonly engine: { readonly bytesWritten: number }
}

const UNPACK: Readonly<Record<Exclude<Coding, 'deflate'>, Unpack>> = {
  gzip: gunzipSync,
  br: brotliDecompressSync,
  zstd: (bytes, options) => zstdDecompressSync(bytes, { ...options, params: ZSTD_PARAMS } as never),
}

/**
 * A small whole body, unpacked here and now: a tenth of what it takes to have it done beside the event loop.
 * Undefined where that is not as simple as that: too much, damaged, more than one frame.
 */
export function unpackAtOnce(coding: Coding, bytes: Buffer, most: number): Buffer | undefined {
  // Node before 24 takes the beginning of a frame for all of it.
  if (coding === 'zstd' && !isFrame(bytes)) return undefined
  const call = coding === 'deflate' ? (isZlib(bytes) ? inflateSync : inflateRawSync) : UNPACK[coding]
  const options = { info: true, maxOutputLength: most, chunkSize: Math.max(4096, 4 * bytes.length) }
  try {
    const { buffer, engine } = (call as Unpack)(bytes, options) as Unpacked
    return engine.bytesWritten === bytes.length ? buffer : undefined
  } catch {
    // Whatever it is, the slow way tells.
    return undefined
  }
}

function isFrame(bytes: Buffer): boolean {
  const frames = new ZstdFrames()
  return frames.read(bytes, 0).at === bytes.length && frames.betweenFrames
}
