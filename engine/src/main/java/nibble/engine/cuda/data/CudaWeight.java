package nibble.engine.cuda.data;

import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.tensor.DeviceWeight;

/** Holds a weight in device memory. Borrows the buffer of the layer or model it belongs to. */
public sealed interface CudaWeight extends DeviceWeight {

    /** Holds fp16, row-major [outFeatures, inFeatures], from byte {@code offset} of the buffer on. */
    record Dense(String name, int outFeatures, int inFeatures, DeviceMemory.Buffer buffer, long offset)
            implements CudaWeight {
        public long address() {
            return buffer.address() + offset;
        }
    }

    /**
     * Holds quantized rows of a {@link TiledMatrix}: row i lies at {@code offset + i / 8 * spread + i % 8}.
     *
     * @param offset a multiple of 8
     * @param spread 8, or 16 where two parts are interleaved
     */
    record Tiled(String name, int outFeatures, TiledMatrix matrix, int offset, int spread) implements CudaWeight {
        @Override
        public int inFeatures() {
            return matrix.inFeatures();
        }

        /** Returns whether the matrix has no other part. */
        public boolean whole() {
            return outFeatures == matrix.rows();
        }
    }
}
