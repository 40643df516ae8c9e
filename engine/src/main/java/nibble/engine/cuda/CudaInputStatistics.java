package nibble.engine.cuda;

import java.lang.foreign.MemorySegment;
import java.util.Map;
import nibble.engine.Matrix;
import nibble.engine.quantize.InputStatistics;
import org.jspecify.annotations.Nullable;

/**
 * Second moments by cuBLAS from fp16 with fp32 sums, from the diagonal on only; {@code Σ |x|} in double. When all parts are added, the
 * part's memory takes the correlations that quantizing needs. Owns its buffers.
 */
final class CudaInputStatistics implements InputStatistics {
    /** Rows of C that are summed at a time, from the diagonal on. */
    static final int STRIP = 2048;

    private static final Map<String, Integer> CONSTANTS = Map.of("STRIP", STRIP);
    private static final int THREADS = 256;
    private static final int CHUNK_ROWS = 256;

    private final CudaBackend owner;
    private final int columns;
    private final DeviceMemory.Buffer absolute;
    private final DeviceMemory.Buffer absolutePart;
    private DeviceMemory.Buffer sum;
    private DeviceMemory.Buffer part;
    private long rows;
    private boolean partBegun;
    private boolean sumBegun;
    private @Nullable Correlations correlations;

    /**
     * C as what is multiplied with.
     *
     * @param matrix [columns, columns] fp16, as {@code moments.cu} makes it
     * @param deviations d [columns] fp32
     * @param largest of d
     */
    record Correlations(DeviceMemory.Buffer matrix, DeviceMemory.Buffer deviations, float largest) {}

    CudaInputStatistics(CudaBackend owner, int columns) {
        this.owner = owner;
        this.columns = columns;
        long bytes = 4L * columns * columns;
        String purpose = "second moments of " + columns + " features";
        sum = owner.memory().allocate(bytes, purpose);
        part = owner.memory().allocate(bytes, purpose);
        absolute = owner.memory().allocate(8L * columns, purpose);
        absolutePart = owner.memory().allocate(8L * columns, purpose);
    }

    /** Device memory that statistics of so many features take. */
    static long bytes(int columns) {
        return 2 * DeviceMemory.rounded(4L * columns * columns);
    }

    @Override
    public int columns() {
        return columns;
    }

    @Override
    public void add(Matrix x) {
        if (correlations != null) {
            throw new IllegalStateException("statistics are in use already");
        }
        CudaMatrix in = CudaMatrix.of(owner, x, false);
        if (in.columns() != columns) {
            throw new IllegalArgumentException(in.columns() + " features given, " + columns + " expected");
        }
        for (int first = 0; first < columns; first += STRIP) {
            owner.cublas()
                    .addSecondMoment(
                            in.rows(), columns, in.address(), first, Math.min(STRIP, columns - first), part.address(), partBegun);
        }
        addAbsolute(in);
        partBegun = true;
        rows += in.rows();
    }

    private void addAbsolute(CudaMatrix x) {
        int chunks = (x.rows() + CHUNK_ROWS - 1) / CHUNK_ROWS;
        try (DeviceMemory.Buffer parts = owner.memory().allocate(8L * chunks * columns, "sums of |x|")) {
            kernel("absolute_parts")
                    .launch(
                            owner.stream(), new Kernel.Grid(blocks(), chunks, 1), THREADS, 0, x.address(), x.rows(), columns,
                            CHUNK_ROWS, parts.address());
            addParts(parts, chunks, absolutePart, partBegun);
        }
    }

    private void addParts(DeviceMemory.Buffer parts, int chunks, DeviceMemory.Buffer sums, boolean accumulate) {
        kernel("add_parts")
                .launch(
                        owner.stream(), Kernel.Grid.of(blocks()), THREADS, 0, parts.address(), chunks, columns, sums.address(),
                        accumulate ? 1 : 0);
    }

    @Override
    public void endPart() {
        if (!partBegun) {
            return;
        }
        if (sumBegun) {
            kernel("add_moment")
                    .launch(
                            owner.stream(), new Kernel.Grid((columns + 1023) / 1024, columns, 1), THREADS, 0, sum.address(),
                            part.address(), columns);
        } else {
            DeviceMemory.Buffer swapped = sum;
            sum = part;
            part = swapped;
        }
        addParts(absolutePart, 1, absolute, sumBegun);
        sumBegun = true;
        partBegun = false;
    }

    @Override
    public long rows() {
        return rows;
    }

    @Override
    public double[] meanAbsolute() {
        endPart();
        double[] mean = owner.transfers().doubles(absolute, columns);
        for (int i = 0; i < columns; i++) {
            mean[i] /= rows;
        }
        return mean;
    }

    /** Made at the first call, after which nothing can be added; owned by this. */
    Correlations correlations() {
        if (correlations == null) {
            endPart();
            DeviceMemory.Buffer deviations = owner.memory().allocate(4L * columns, "deviations of inputs");
            try (DeviceMemory.Buffer inverse = owner.memory().allocate(4L * columns, "deviations of inputs")) {
                kernel("deviations")
                        .launch(
                                owner.stream(), Kernel.Grid.of(blocks()), THREADS, 0, sum.address(), columns,
                                deviations.address(), inverse.address());
                int tiles = (columns + 31) / 32;
                kernel("correlations")
                        .launch(
                                owner.stream(), new Kernel.Grid(tiles, tiles, 1), THREADS, 0, sum.address(), inverse.address(),
                                columns, part.address());
            }
            float largest = 0;
            for (float deviation : owner.transfers().floats(deviations, columns)) {
                largest = Math.max(largest, deviation);
            }
            correlations = new Correlations(part, deviations, largest);
        }
        return correlations;
    }

    /** {@code C}, whole; for tests. */
    float[] moment() {
        endPart();
        float[] values = new float[Math.multiplyExact(columns, columns)];
        owner.transfers().fetch(sum, 0, MemorySegment.ofArray(values));
        for (int i = 0; i < columns; i++) {
            for (int j = 0; j < i / STRIP * STRIP; j++) {
                values[i * columns + j] = values[j * columns + i];
            }
        }
        return values;
    }

    private Kernel kernel(String name) {
        return owner.kernels().kernel("moments.cu", name, CONSTANTS);
    }

    private int blocks() {
        return (columns + THREADS - 1) / THREADS;
    }

    @Override
    public void close() {
        // All work with them is in the stream that their next user is put into.
        sum.close();
        part.close();
        absolute.close();
        absolutePart.close();
        if (correlations != null) {
            correlations.deviations().close();
        }
    }
}
