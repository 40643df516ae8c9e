package nibble.engine.host;

import java.util.Locale;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.backend.CodeStore;
import nibble.engine.backend.DeviceException;
import nibble.engine.backend.GradientExtents;
import nibble.engine.backend.GradientOperations;
import nibble.engine.backend.LayerOperations;
import nibble.engine.backend.Parameter;
import nibble.engine.backend.PlacedCodes;
import nibble.engine.backend.PlacedWeight;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.Weight;
import nibble.pack.QuantizationSpec;
import nibble.pack.QuantizedLinear;

/**
 * Has what the backward operations of the host share: its forward pass, parameters, and weights of codes and scales.
 */
abstract class HostGradients implements GradientOperations {
    /** The share of the heap that may hold what forward passes leave for backward passes. */
    private static final int TAPE_SHARE = 4;
    /** The share of the heap that may hold positions of codes. */
    private static final int POSITIONS_SHARE = 3;
    /** A position, and Adam's two moments. */
    private static final int BYTES_PER_POSITION = 3 * Float.BYTES;

    private final LayerOperations layers;

    HostGradients(LayerOperations layers) {
        this.layers = layers;
    }

    @Override
    public Room room(
            ModelConfig config,
            QuantizationSpec spec,
            int sequences,
            int length,
            long tapeColumns,
            boolean movesCodes) {
        if (movesCodes && !fitsCodes(config, spec, sequences, length, tapeColumns)) {
            throw new DeviceException(String.format(
                    Locale.ROOT,
                    "positions of codes take %.1f GB of the heap, which may be a third of it; allow more with"
                            + " NIBBLE_JAVA_OPTS=-Xmx%dm, or let codes stay with --fixed-codes",
                    positionBytes(config) / 1e9,
                    POSITIONS_SHARE * positionBytes(config) / (1 << 20) + 1));
        }
        long tape = Float.BYTES * tapeColumns * sequences * length;
        long memory = Runtime.getRuntime().maxMemory() / TAPE_SHARE;
        return new Room(config.layers(), (int) Math.clamp(memory / tape, 1, config.layers()), movesCodes, 0, 0);
    }

    @Override
    public boolean fitsCodes(ModelConfig config, QuantizationSpec spec, int sequences, int length, long tapeColumns) {
        return positionBytes(config) <= Runtime.getRuntime().maxMemory() / POSITIONS_SHARE;
    }

    // The host computes all sequences of a step together.
    @Override
    public int parts(int sequences) {
        return 1;
    }

    // Work of the host is done when a call returns.
    @Override
    public Mark mark() {
        return new Mark() {
            @Override
            public void set() {}

            @Override
            public void close() {}
        };
    }

    @Override
    public void await(Mark mark) {}

    @Override
    public LayerOperations layers() {
        return layers;
    }

    private static long positionBytes(ModelConfig config) {
        long weights = 0;
        for (Linear linear : Linear.SEVEN) {
            weights += (long) config.outFeatures(linear) * config.inFeatures(linear);
        }
        return BYTES_PER_POSITION * weights * config.layers();
    }

    @Override
    public Parameter parameter(float[] start) {
        return new HostParameter(start);
    }

    @Override
    public Parameter positions(PlacedCodes codes) {
        return new HostPositions(HostCodes.of(codes), this);
    }

    @Override
    public CodeStore codes(int resident) {
        return new HostCodes.Store();
    }

    @Override
    public PlacedWeight place(Weight weight) {
        return new PlacedWeight(weight, () -> {});
    }

    @Override
    public PlacedWeight weight(PlacedCodes placed, Parameter scales) {
        GradientExtents.scales("weight", placed, scales);
        QuantizedLinear codes = HostCodes.of(placed);
        float[] numbers = HostParameter.numbers(scales);
        float[] values = new float[Math.multiplyExact(codes.outFeatures(), codes.inFeatures())];
        forEachRow(codes.outFeatures(), row -> row(codes, numbers, row, values));
        return new PlacedWeight(DenseWeight.onHeap("tuned", values, codes.outFeatures(), codes.inFeatures()), () -> {});
    }

    @Override
    public void rmsNorm(Matrix x, Parameter gain, double epsilon, Matrix out) {
        layers.rmsNorm(x, HostParameter.numbers(gain), epsilon, out);
    }

    @Override
    public void rmsNormHeads(Matrix x, Parameter gain, double epsilon) {
        layers.rmsNormHeads(x, HostParameter.numbers(gain), epsilon);
    }

    @Override
    public void center(Matrix x) {
        float[] values = HostMatrix.values(x);
        int columns = x.columns();
        forEachRow(x.rows(), row -> {
            double sum = 0;
            for (int i = row * columns; i < (row + 1) * columns; i++) {
                sum += values[i];
            }
            float mean = (float) (sum / columns);
            for (int i = row * columns; i < (row + 1) * columns; i++) {
                values[i] -= mean;
            }
        });
    }

    /** A row's weights at their place in [out, in]. */
    private static void row(QuantizedLinear codes, float[] scales, int row, float[] into) {
        byte[] pairs = codes.codes();
        int at = row * codes.inFeatures();
        float[] table = new float[16];
        for (int group = 0; group < codes.groups(); group++) {
            int cell = row * codes.groups() + group;
            int zero = codes.zero(cell);
            if (codes.codesPerByte() == 1) {
                for (int i = 0; i < codes.groupSize(); i++, at++) {
                    into[at] = ((pairs[at] & 0xff) - zero) * scales[cell];
                }
                continue;
            }
            for (int code = 0; code < table.length; code++) {
                table[code] = (code - zero) * scales[cell];
            }
            for (int i = 0; i < codes.groupSize(); i += 2, at += 2) {
                int pair = pairs[at >> 1];
                into[at] = table[pair & 15];
                into[at + 1] = table[pair >> 4 & 15];
            }
        }
    }

    /** Rows in any order. */
    void forEachRow(int rows, java.util.function.IntConsumer task) {
        for (int row = 0; row < rows; row++) {
            task.accept(row);
        }
    }
}
