package nibble.calibrate.tune;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import nibble.engine.backend.Parameter;
import nibble.pack.CodePositions;

/**
 * Adam on relative changes and on positions of codes (Kingma and Ba, arXiv 1412.6980), with a rate that rises over the
 * first steps and then falls to nothing along a cosine.
 */
final class Adam {
    /** The highest rate: a scale moves by a thousandth of itself at most in a step. */
    static final double RATE = 1e-3;

    /** The highest rate of positions: a code that always goes one way takes 25 steps to the next. */
    static final double CODE_RATE = 0.02;

    private static final int WARM_UP = 10;
    private static final double FIRST_DECAY = 0.9;
    private static final double SECOND_DECAY = 0.99;
    /** Small beside any gradient that counts, so that a group's size plays no part. */
    private static final double EPSILON = 1e-12;
    /** The same for positions, whose gradients are smaller still. */
    private static final double CODE_EPSILON = 1e-20;
    /** Scales stay above 0. */
    private static final float LEAST_CHANGE = -0.9f;

    private final List<Parameter> parameters;

    Adam(List<Parameter> parameters) {
        this.parameters = parameters;
    }

    /** The rate of a step, counted from 0, as a share of the highest. */
    static double share(int step, int steps) {
        return Math.min(1, (step + 1.0) / WARM_UP) * (1 + Math.cos(Math.PI * step / steps)) / 2;
    }

    /** Returns what moves scales and gains at a step, counted from 0. */
    static Parameter.AdamStep step(int step, int steps) {
        return step(RATE, step, steps, EPSILON, LEAST_CHANGE, Float.MAX_VALUE);
    }

    /**
     * Returns what moves positions of codes at a step, counted from 0.
     *
     * @param most the largest code
     */
    static Parameter.AdamStep codeStep(int step, int steps, int most) {
        float margin = CodePositions.MARGIN;
        return step(CODE_RATE, step, steps, CODE_EPSILON, -margin, most + margin);
    }

    private static Parameter.AdamStep step(
            double highest, int step, int steps, double epsilon, float least, float most) {
        return new Parameter.AdamStep(
                highest * share(step, steps) / (1 - Math.pow(FIRST_DECAY, step + 1.0)),
                1 - Math.pow(SECOND_DECAY, step + 1.0),
                FIRST_DECAY,
                SECOND_DECAY,
                epsilon,
                least,
                most);
    }

    /** Returns the bytes that {@link #write} writes. */
    long bytes() {
        return parameters.stream()
                .mapToLong(parameter -> 3L * Float.BYTES * parameter.size())
                .sum();
    }

    /** Writes what was moved and the moments, exactly. */
    void write(DataOutputStream out) throws IOException {
        for (Parameter parameter : parameters) {
            Parameter.State state = parameter.state();
            for (float[] values : List.of(state.moved(), state.first(), state.second())) {
                ByteBuffer bytes =
                        ByteBuffer.allocate(Float.BYTES * values.length).order(ByteOrder.LITTLE_ENDIAN);
                bytes.asFloatBuffer().put(values);
                out.write(bytes.array());
            }
        }
    }

    /** Reads what {@link #write} wrote. */
    void read(DataInputStream in) throws IOException {
        for (Parameter parameter : parameters) {
            float[][] parts = new float[3][parameter.size()];
            for (float[] values : parts) {
                byte[] bytes = new byte[Float.BYTES * values.length];
                in.readFully(bytes);
                ByteBuffer.wrap(bytes)
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .asFloatBuffer()
                        .get(values);
            }
            parameter.restore(new Parameter.State(parts[0], parts[1], parts[2]));
        }
    }
}
