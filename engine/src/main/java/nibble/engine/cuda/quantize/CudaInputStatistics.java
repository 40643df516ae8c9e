package nibble.engine.cuda.quantize;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.IdentityHashMap;
import java.util.Map;
import nibble.engine.cuda.data.CudaMatrix;
import nibble.engine.cuda.driver.Cublas;
import nibble.engine.cuda.driver.CudaResources;
import nibble.engine.cuda.driver.CudaStream;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.driver.Kernel;
import nibble.engine.quantize.InputStatistics;
import nibble.engine.tensor.Matrix;
import org.jspecify.annotations.Nullable;

/**
 * Sums second moments by cuBLAS from fp16 with fp32 sums, from the diagonal on only; {@code Σ |x|} in double. When all
 * parts are added, the part's memory takes the correlations that quantizing needs. Memory is taken when it is first
 * needed, so a sum of one part takes half. Owns its buffers.
 */
public final class CudaInputStatistics implements InputStatistics {
    /** Rows of C that are summed at a time, from the diagonal on. */
    public static final int STRIP = Cublas.STRIP;

    private static final Map<String, Integer> CONSTANTS = Map.of("STRIP", STRIP);
    private static final int THREADS = 256;
    private static final int CHUNK_ROWS = 256;

    private final CudaResources owner;
    private final QuantizationScratch scratch;
    private final int columns;
    private DeviceMemory.Buffer absolute;
    private DeviceMemory.Buffer absolutePart;
    /** Of the parts that have ended; null until one has. */
    private DeviceMemory.@Nullable Buffer sum;

    /** Of the part at hand; null where none has memory yet. */
    private DeviceMemory.@Nullable Buffer part;

    private DeviceMemory.@Nullable Buffer correlationMatrix;
    /** Where this card's stream has what another one is about to fetch. */
    private final CudaStream.Event ready = new CudaStream.Event();

    /** Where this card has fetched what others handed out last. Events belong to the card whose stream records them. */
    private final Map<CudaInputStatistics, CudaStream.Event> fetched = new IdentityHashMap<>();

    private long rows;
    private boolean partBegun;
    private boolean sumBegun;
    private @Nullable Correlations correlations;

    /**
     * Holds C as what is multiplied with.
     *
     * @param matrix [columns, columns] fp16, as {@code moments.cu} makes it
     * @param deviations d [columns] fp32
     * @param largest of d
     */
    public record Correlations(DeviceMemory.Buffer matrix, DeviceMemory.Buffer deviations, float largest) {}

    public CudaInputStatistics(CudaResources owner, QuantizationScratch scratch, int columns) {
        this.owner = owner;
        this.scratch = scratch;
        this.columns = columns;
        absolute = owner.memory().allocate(8L * columns, purpose());
        absolutePart = owner.memory().allocate(8L * columns, purpose());
    }

    private String purpose() {
        return "second moments of " + columns + " features";
    }

    private DeviceMemory.Buffer part() {
        if (part == null) {
            part = owner.memory().allocate(4L * columns * columns, purpose());
        }
        return part;
    }

    private DeviceMemory.Buffer sum() {
        if (sum == null) {
            throw new IllegalStateException("no second moments were added, or they were handed out");
        }
        return sum;
    }

    /** Takes C [columns, columns] fp32 from the diagonal on, for the caller to change and close; correlations stay. */
    public DeviceMemory.Buffer takeMoment() {
        endPart();
        if (part != null && correlations == null) {
            // Correlations take half of it, and memory is short where a fit is to follow.
            part.close();
            part = null;
        }
        correlations();
        DeviceMemory.Buffer taken = sum();
        sum = null;
        return taken;
    }

    /** Returns the device memory that statistics of so many features take. */
    public static long bytes(int columns) {
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
        owner.cublas().addSecondMoment(in.rows(), columns, in.address(), part().address(), partBegun);
        addAbsolute(in);
        partBegun = true;
        rows += in.rows();
    }

    private void addAbsolute(CudaMatrix x) {
        int chunks = (x.rows() + CHUNK_ROWS - 1) / CHUNK_ROWS;
        try (DeviceMemory.Buffer parts = owner.memory().allocate(8L * chunks * columns, "sums of |x|")) {
            kernel("absolute_parts")
                    .launch(
                            owner.stream(),
                            new Kernel.Grid(blocks(), chunks, 1),
                            THREADS,
                            0,
                            x.address(),
                            x.rows(),
                            columns,
                            CHUNK_ROWS,
                            parts.address());
            addParts(parts, chunks, absolutePart, partBegun);
        }
    }

    private void addParts(DeviceMemory.Buffer parts, int chunks, DeviceMemory.Buffer sums, boolean accumulate) {
        kernel("add_parts")
                .launch(
                        owner.stream(),
                        Kernel.Grid.of(blocks()),
                        THREADS,
                        0,
                        parts.address(),
                        chunks,
                        columns,
                        sums.address(),
                        accumulate ? 1 : 0);
    }

    @Override
    public void endPart() {
        if (!partBegun) {
            return;
        }
        if (sumBegun) {
            addMoment(part().address(), 0, columns);
        } else {
            swapMoments();
        }
        addParts(absolutePart, 1, absolute, sumBegun);
        sumBegun = true;
        partBegun = false;
    }

    private void swapMoments() {
        DeviceMemory.Buffer swapped = sum;
        sum = part();
        part = swapped;
    }

    /** Adds rows of a part. */
    private void addMoment(long part, int first, int count) {
        kernel("add_moment")
                .launch(
                        owner.stream(),
                        new Kernel.Grid((columns + 1023) / 1024, count, 1),
                        THREADS,
                        0,
                        sum().address(),
                        part,
                        columns,
                        first);
    }

    /**
     * Adds the part that another card has made; this one's own come before. That card may go on with its next part at
     * once.
     */
    public void takePart(CudaInputStatistics other) {
        CudaStream.Event event = fetched.computeIfAbsent(other, _ -> {
            owner.makeCurrent();
            return new CudaStream.Event();
        });
        CudaResources there = other.owner;
        there.makeCurrent();
        // Both of its buffers take turns: the one that was fetched before becomes its next part.
        there.stream().waitFor(event);
        other.swapMoments();
        DeviceMemory.Buffer absolutes = other.absolutePart;
        other.absolutePart = other.absolute;
        other.absolute = absolutes;
        other.partBegun = false;
        there.stream().record(other.ready);
        owner.makeCurrent();
        owner.stream().waitFor(other.ready);
        int atATime = Math.clamp(QuantizationScratch.PRODUCT_BYTES / (4L * columns), 1, columns);
        long fetchedRows = scratch.products(4L * atATime * columns);
        for (int first = 0; first < columns; first += atATime) {
            int count = Math.min(atATime, columns - first);
            owner.device()
                    .copyFrom(
                            there.device(),
                            other.sum().pointer(4L * first * columns),
                            scratch.productsPointer(),
                            4L * count * columns,
                            owner.stream());
            addMoment(fetchedRows, first, count);
        }
        try (DeviceMemory.Buffer sums = owner.memory().allocate(8L * columns, "sums of |x|")) {
            owner.device()
                    .copyFrom(there.device(), absolutes.pointer(0), sums.pointer(0), 8L * columns, owner.stream());
            addParts(sums, 1, absolute, sumBegun);
        }
        owner.stream().record(event);
    }

    @Override
    public long rows() {
        return rows;
    }

    @Override
    public double[] meanAbsolute() {
        return meanAbsolute(rows);
    }

    /** Returns the means where {@code rows} were added in all. */
    public double[] meanAbsolute(long rows) {
        endPart();
        double[] mean = owner.transfers().doubles(absolute, columns);
        for (int i = 0; i < columns; i++) {
            mean[i] /= rows;
        }
        return mean;
    }

    /** Returns the correlations, made at the first call, after which nothing can be added; owned by this. */
    public Correlations correlations() {
        if (correlations == null) {
            endPart();
            DeviceMemory.Buffer deviations = owner.memory().allocate(4L * columns, "deviations of inputs");
            try (DeviceMemory.Buffer inverse = owner.memory().allocate(4L * columns, "deviations of inputs")) {
                kernel("deviations")
                        .launch(
                                owner.stream(),
                                Kernel.Grid.of(blocks()),
                                THREADS,
                                0,
                                sum().address(),
                                columns,
                                deviations.address(),
                                inverse.address());
                int tiles = (columns + 31) / 32;
                kernel("correlations")
                        .launch(
                                owner.stream(),
                                new Kernel.Grid(tiles, tiles, 1),
                                THREADS,
                                0,
                                sum().address(),
                                inverse.address(),
                                columns,
                                correlationMatrix().address());
            }
            float largest = 0;
            for (float deviation : owner.transfers().floats(deviations, columns)) {
                largest = Math.max(largest, deviation);
            }
            correlations = new Correlations(correlationMatrix(), deviations, largest);
        }
        return correlations;
    }

    /** In the memory of the last part, where it had its own. */
    private DeviceMemory.Buffer correlationMatrix() {
        if (correlationMatrix == null) {
            correlationMatrix = part == null ? owner.memory().allocate(2L * columns * columns, purpose()) : part;
            part = null;
        }
        return correlationMatrix;
    }

    /** Returns a copy of another card's correlations in this one's memory; nothing can be added here after. */
    public Correlations copyOf(CudaInputStatistics other, Correlations original) {
        CudaResources there = other.owner;
        there.makeCurrent();
        // Comes after all fetches from here, too.
        there.stream().record(other.ready);
        owner.makeCurrent();
        owner.stream().waitFor(other.ready);
        DeviceMemory.Buffer deviations = owner.memory().allocate(4L * columns, "deviations of inputs");
        long bytes = 2L * columns * columns;
        owner.device()
                .copyFrom(
                        there.device(),
                        original.matrix().pointer(0),
                        correlationMatrix().pointer(0),
                        bytes,
                        owner.stream());
        owner.device()
                .copyFrom(
                        there.device(),
                        original.deviations().pointer(0),
                        deviations.pointer(0),
                        4L * columns,
                        owner.stream());
        correlations = new Correlations(correlationMatrix(), deviations, original.largest());
        return correlations;
    }

    /** {@code C}, whole; for tests. */
    float[] moment() {
        endPart();
        float[] values = new float[Math.multiplyExact(columns, columns)];
        owner.transfers().fetch(sum(), 0, MemorySegment.ofArray(values));
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
        for (DeviceMemory.@Nullable Buffer buffer : Arrays.asList(sum, part, correlationMatrix)) {
            if (buffer != null) {
                buffer.close();
            }
        }
        absolute.close();
        absolutePart.close();
        if (correlations != null) {
            correlations.deviations().close();
        }
        ready.close();
        fetched.values().forEach(CudaStream.Event::close);
    }
}
