package nibble.engine.cuda.quantize;

import jcuda.driver.CUdeviceptr;
import nibble.engine.cuda.driver.CudaStream;
import nibble.engine.cuda.driver.DeviceMemory;
import org.jspecify.annotations.Nullable;

/**
 * Holds memory for errors and their products with C, for one linear after another: what follows in the stream may
 * overwrite it. Owns it.
 */
public final class QuantizationScratch implements AutoCloseable {
    /** Rows at a time: enough for the card, and few enough for their products to stay in its cache. */
    private static final int ROWS = 4096;

    /** Bytes of products at a time. */
    static final long PRODUCT_BYTES = 256L << 20;

    private final DeviceMemory memory;
    private final CudaStream stream;
    private DeviceMemory.@Nullable Buffer errors;
    private DeviceMemory.@Nullable Buffer products;

    public QuantizationScratch(DeviceMemory memory, CudaStream stream) {
        this.memory = memory;
        this.stream = stream;
    }

    /** Returns how many rows of a linear are worked on at a time: equal pieces of whole words of eight. */
    public static int rows(int rows) {
        int pieces = (rows + ROWS - 1) / ROWS;
        int each = (rows + pieces - 1) / pieces;
        return (each + 7) / 8 * 8;
    }

    /** Rows at a time within such a piece, where whole rows of products are kept. */
    static int wholeRows(int columns) {
        return (int) Math.clamp(PRODUCT_BYTES / (4L * columns), 1, ROWS);
    }

    /** Returns the device memory for linears with so many features. */
    public static long bytes(int largestRows, int largestColumns) {
        return DeviceMemory.rounded(2L * rows(largestRows) * largestColumns)
                + DeviceMemory.rounded(Math.max(PRODUCT_BYTES, 4L * largestColumns));
    }

    long errors(long bytes) {
        errors = atLeast(errors, bytes);
        return errors.address();
    }

    long products(long bytes) {
        products = atLeast(products, bytes);
        return products.address();
    }

    CUdeviceptr productsPointer() {
        if (products == null) {
            throw new IllegalStateException("no products yet");
        }
        return products.pointer(0);
    }

    private DeviceMemory.Buffer atLeast(DeviceMemory.@Nullable Buffer buffer, long bytes) {
        if (buffer != null && buffer.bytes() >= bytes) {
            return buffer;
        }
        if (buffer != null) {
            stream.synchronize();
            buffer.close();
        }
        return memory.allocate(bytes, "errors on trial");
    }

    @Override
    public void close() {
        if (errors != null) {
            errors.close();
        }
        if (products != null) {
            products.close();
        }
    }
}
