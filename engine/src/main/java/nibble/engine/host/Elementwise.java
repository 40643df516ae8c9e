package nibble.engine.host;

import java.util.function.IntConsumer;
import nibble.checkpoint.model.layer.Activation;
import nibble.engine.attention.RotaryTable;
import nibble.engine.backend.Workers;
import nibble.engine.host.natives.Elements;
import nibble.engine.host.natives.Kernels;
import nibble.engine.host.vector.Addition;
import nibble.engine.host.vector.ClampedSwiglu;
import nibble.engine.host.vector.Geglu;
import nibble.engine.host.vector.RmsNorm;
import nibble.engine.host.vector.Rotation;
import nibble.engine.host.vector.Swiglu;
import org.jspecify.annotations.Nullable;

/**
 * Computes operations between products on arrays whose sizes the backend has checked: by the library where there is
 * one, else by the Vector API.
 */
final class Elementwise {
    /** Floats of a task: 64 kB. */
    private static final int TASK = 1 << 14;

    private final Workers workers;
    private final @Nullable Elements elements;

    Elementwise(Workers workers, @Nullable Kernels kernels) {
        this.workers = workers;
        this.elements = kernels == null ? null : kernels.elements();
    }

    /** Computes {@code out = x / sqrt(mean(x²) + epsilon) * weight} of rows as long as the weight. */
    void rmsNorm(float[] x, float[] weight, double epsilon, float[] out) {
        int n = weight.length;
        int rows = n == 0 ? 0 : x.length / n;
        Elements library = elements;
        forEachRows(rows, n, (from, to) -> {
            if (library != null) {
                library.norm(x, from * n, to - from, weight, epsilon, out);
                return;
            }
            for (int t = from; t < to; t++) {
                RmsNorm.row(x, t * n, n, weight, epsilon, out);
            }
        });
    }

    /** Turns rows; row t of a sequence of {@code length} stands at {@code firstPosition + t}. */
    void rope(float[] x, int columns, int headDim, RotaryTable table, int length, int firstPosition) {
        int half = table.half();
        Elements library = elements;
        forEachRow(columns == 0 ? 0 : x.length / columns, columns, t -> {
            int angle = (firstPosition + t % length) * half;
            if (library != null) {
                library.turn(x, t * columns, columns, headDim, half, table.cos(), table.sin(), angle);
                return;
            }
            for (int head = t * columns; head < (t + 1) * columns; head += headDim) {
                Rotation.head(x, head, half, table.cos(), table.sin(), angle);
            }
        });
    }

    void glu(Activation activation, float[] gate, float[] up, float[] out) {
        Elements library = elements;
        forEachPiece(out.length, (from, to) -> {
            if (library != null) {
                library.gate(activation, gate, up, out, from, to);
                return;
            }
            switch (activation) {
                case SILU -> Swiglu.run(gate, up, out, from, to);
                case GELU_TANH -> Geglu.run(gate, up, out, from, to);
                case CLAMPED_SWIGLU -> ClampedSwiglu.run(gate, up, out, from, to);
            }
        });
    }

    void add(float[] x, float[] into) {
        forEachPiece(into.length, (from, to) -> add(x, from, into, from, to - from));
    }

    /** Adds a vector to each row. */
    void addToRows(float[] vector, float[] into, int rows) {
        int n = vector.length;
        forEachRow(rows, n, t -> add(vector, 0, into, t * n, n));
    }

    private void add(float[] x, int first, float[] into, int at, int n) {
        if (elements != null) {
            elements.add(x, first, into, at, n);
        } else {
            Addition.run(x, first, into, at, n);
        }
    }

    void forEachRow(int rows, int columns, IntConsumer row) {
        forEachRows(rows, columns, (from, to) -> {
            for (int t = from; t < to; t++) {
                row.accept(t);
            }
        });
    }

    private void forEachRows(int rows, int columns, Workers.Run run) {
        int block = Math.max(1, TASK / Math.max(1, columns));
        workers.forEach(
                (rows + block - 1) / block, task -> run.accept(task * block, Math.min(rows, (task + 1) * block)));
    }

    /** Pieces begin at fixed places, so that which elements fall to the tail does not depend on the threads. */
    void forEachPiece(int elements, Workers.Run piece) {
        workers.forEach(
                (elements + TASK - 1) / TASK, task -> piece.accept(task * TASK, Math.min(elements, (task + 1) * TASK)));
    }
}
