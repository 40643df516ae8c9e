package nibble.engine.cuda.quantize;

import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Map;
import nibble.engine.backend.Workers;
import nibble.engine.cuda.data.CudaWeight;
import nibble.engine.cuda.driver.CudaResources;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.driver.Kernel;
import nibble.engine.host.HostLinearQuantizer;
import nibble.engine.host.ReferenceBackend;
import nibble.engine.tensor.DenseWeight;
import nibble.pack.QuantizationSpec;
import org.jspecify.annotations.Nullable;

/**
 * A linear whose fp16 weights lie on the card, and the kernels of {@code quantize.cu} over its rows. Borrows the
 * weights.
 */
abstract class LinearOnCard {
    static final int THREADS = 256;
    static final int ROWS_PER_WARP = 4;
    static final int WARPS = 8;
    static final int CHUNK_ROWS = 256;

    final CudaResources owner;
    final QuantizationScratch scratch;
    final long weight;
    final DenseWeight original;
    final Path file;
    final QuantizationSpec spec;
    final int firstRow;
    final int rows;
    final int in;
    final int groups;
    final int chunk;
    final Map<String, Integer> constants;
    final DeviceMemory.Buffer maxima;
    final float largest;

    /** A vector that may be absent: address 0 then. */
    record Vector(DeviceMemory.@Nullable Buffer buffer) implements AutoCloseable {
        long address() {
            return buffer == null ? 0 : buffer.address();
        }

        @Override
        public void close() {
            if (buffer != null) {
                buffer.close();
            }
        }
    }

    /** @throws nibble.checkpoint.source.BadCheckpointException if a weight is not finite */
    LinearOnCard(
            CudaResources owner,
            QuantizationScratch scratch,
            CudaWeight.Dense weight,
            DenseWeight original,
            Path file,
            QuantizationSpec spec) {
        this.owner = owner;
        this.scratch = scratch;
        this.weight = weight.address();
        this.original = original;
        this.file = file;
        this.spec = spec;
        this.firstRow = 0;
        this.rows = weight.outFeatures();
        this.in = weight.inFeatures();
        this.groups = spec.groups(in);
        this.chunk = QuantizationScratch.rows(rows);
        this.constants = Map.of(
                "GROUP",
                groups == 1 && spec.groupSize() == QuantizationSpec.WHOLE_ROW ? 0 : in / groups,
                "SYMMETRIC",
                spec.symmetric() ? 1 : 0,
                "MOST",
                spec.maxCode());
        this.maxima = owner.memory().allocate(4L * rows * groups, "largest weights of groups");
        try {
            this.largest = findMaxima();
        } catch (RuntimeException e) {
            maxima.close();
            throw e;
        }
    }

    /** Some rows of another; borrows all it has. */
    LinearOnCard(LinearOnCard whole, int firstRow, int rows) {
        this.owner = whole.owner;
        this.scratch = whole.scratch;
        this.weight = whole.weightRow(firstRow);
        this.original = whole.original;
        this.file = whole.file;
        this.spec = whole.spec;
        this.firstRow = firstRow;
        this.rows = rows;
        this.in = whole.in;
        this.groups = whole.groups;
        this.chunk = whole.chunk;
        this.constants = whole.constants;
        this.maxima = whole.maxima;
        this.largest = whole.largest;
    }

    private float findMaxima() {
        try (DeviceMemory.Buffer found = owner.memory().allocate(8, "largest weights of groups")) {
            owner.transfers().bring(MemorySegment.ofArray(new int[] {0, 0}), found);
            overGroups(
                    "group_maxima", weight, rows, in, groups, maxima.address(), found.address(), found.address() + 4);
            int[] values = new int[2];
            owner.transfers().fetch(found, 0, MemorySegment.ofArray(values));
            if (values[1] != 0) {
                onHost().close();
                throw new IllegalStateException(original.name() + ": finite in the file, not on the card");
            }
            return Float.intBitsToFloat(values[0]);
        }
    }

    /** The same linear on the host, which says exactly what is wrong with its weights. */
    private HostLinearQuantizer onHost() {
        return new HostLinearQuantizer(original, file, spec, new ReferenceBackend(), new Workers(1));
    }

    Vector bring(float @Nullable [] values) {
        if (values == null) {
            return new Vector(null);
        }
        DeviceMemory.Buffer buffer = owner.memory().allocate(4L * values.length, "scales");
        owner.transfers().bring(MemorySegment.ofArray(values), buffer);
        return new Vector(buffer);
    }

    long weightRow(int row) {
        return weight + 2L * row * in;
    }

    Kernel kernel(String name) {
        return owner.kernels().kernel("quantize.cu", name, constants);
    }

    Kernel.Grid overGroups(int count) {
        return new Kernel.Grid((groups + WARPS - 1) / WARPS, (count + ROWS_PER_WARP - 1) / ROWS_PER_WARP, 1);
    }

    void overGroups(String name, Object... arguments) {
        kernel(name).launch(owner.stream(), overGroups(rows), THREADS, 0, arguments);
    }
}
