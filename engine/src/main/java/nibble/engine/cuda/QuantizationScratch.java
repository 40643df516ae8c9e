package nibble.engine.cuda;

import org.jspecify.annotations.Nullable;

/**
 * Memory for errors and their products with C, for one linear after another: what follows in the stream may overwrite it. Owns it.
 */
final class QuantizationScratch implements AutoCloseable {
    /** Rows at a time: enough for the card, and few enough for their products to stay in its cache. */
    private static final int ROWS = 8192;

    /** Elements of whole rows of products at a time. */
    private static final long WHOLE_ROWS_ELEMENTS = 64L << 20;

    private final DeviceMemory memory;
    private final CudaStream stream;
    private DeviceMemory.@Nullable Buffer errors;
    private DeviceMemory.@Nullable Buffer products;

    QuantizationScratch(DeviceMemory memory, CudaStream stream) {
        this.memory = memory;
        this.stream = stream;
    }

    /** Rows of a linear that are worked on at a time, in equal pieces. */
    static int rows(int rows, int columns) {
        int pieces = (rows + ROWS - 1) / ROWS;
        return (rows + pieces - 1) / pieces;
    }

    /** The same where whole rows of products are kept. */
    static int wholeRows(int rows, int columns) {
        return (int) Math.clamp(WHOLE_ROWS_ELEMENTS / columns, 1, rows);
    }

    /** Device memory for linears with so many features. */
    static long bytes(int largestRows, int largestColumns) {
        long strip = Math.min(CudaInputStatistics.STRIP, largestColumns);
        long chunk = rows(largestRows, largestColumns);
        return DeviceMemory.rounded(2 * chunk * largestColumns)
                + DeviceMemory.rounded(Math.max(4 * chunk * strip, 4 * WHOLE_ROWS_ELEMENTS));
    }

    long errors(long bytes) {
        errors = atLeast(errors, bytes);
        return errors.address();
    }

    long products(long bytes) {
        products = atLeast(products, bytes);
        return products.address();
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
