package nibble.engine.host;

import nibble.engine.backend.Parameter;
import nibble.pack.CodePositions;
import nibble.pack.QuantizedLinear;
import org.jspecify.annotations.Nullable;

/** Holds the positions of a linear's codes on the Java heap, and changes the codes with them. Borrows the codes. */
final class HostPositions implements Parameter {
    private final QuantizedLinear codes;
    private final HostGradients operations;
    private final float[] positions;
    private final float[] first;
    private final float[] second;
    private float @Nullable [] sums;

    HostPositions(QuantizedLinear codes, HostGradients operations) {
        this.codes = codes;
        this.operations = operations;
        this.positions = CodePositions.of(codes);
        this.first = new float[positions.length];
        this.second = new float[positions.length];
    }

    /** Returns the gradient of the positions, not a copy. */
    static float[] sums(Parameter parameter) {
        return of(parameter).sums();
    }

    private static HostPositions of(Parameter parameter) {
        if (parameter instanceof HostPositions host) {
            return host;
        }
        throw new IllegalArgumentException(
                "positions of another backend: " + parameter.getClass().getSimpleName());
    }

    private float[] sums() {
        float[] there = sums;
        if (there == null) {
            there = new float[positions.length];
            sums = there;
        }
        return there;
    }

    @Override
    public int size() {
        return positions.length;
    }

    @Override
    public float[] values() {
        return positions.clone();
    }

    @Override
    public float[] gradient() {
        return sums().clone();
    }

    @Override
    public void addGradient(float[] more) {
        float[] to = sums();
        for (int i = 0; i < to.length; i++) {
            to[i] += more[i];
        }
    }

    @Override
    public void addGradientOf(Parameter other) {
        addGradient(sums(other));
    }

    @Override
    public void follow(Parameter leader) {
        byte[] moved = of(leader).codes.codes();
        System.arraycopy(moved, 0, codes.codes(), 0, moved.length);
        sums = null;
    }

    /** Moves codes, all in fp32 and in the order of a card's kernels: one gradient moves codes alike everywhere. */
    @Override
    public void move(AdamStep step) {
        float[] gradient = sums();
        float rate = (float) step.rate();
        float correction = (float) (1 / step.correction());
        float firstDecay = (float) step.firstDecay();
        float firstShare = (float) (1 - step.firstDecay());
        float secondDecay = (float) step.secondDecay();
        float secondShare = (float) (1 - step.secondDecay());
        float epsilon = (float) step.epsilon();
        int columns = codes.inFeatures();
        operations.forEachRow(codes.outFeatures(), row -> {
            for (int i = row * columns; i < (row + 1) * columns; i++) {
                float slope = gradient[i];
                float m = firstDecay * first[i] + firstShare * slope;
                float v = secondDecay * second[i] + secondShare * slope * slope;
                first[i] = m;
                second[i] = v;
                float move = rate * m / ((float) Math.sqrt(v * correction) + epsilon);
                positions[i] = Math.min(Math.max(positions[i] - move, step.least()), step.most());
            }
            CodePositions.round(positions, codes, row);
        });
        sums = null;
    }

    @Override
    public State state() {
        return new State(positions.clone(), first.clone(), second.clone());
    }

    @Override
    public void restore(State state) {
        System.arraycopy(state.moved(), 0, positions, 0, positions.length);
        System.arraycopy(state.first(), 0, first, 0, first.length);
        System.arraycopy(state.second(), 0, second, 0, second.length);
        operations.forEachRow(codes.outFeatures(), row -> CodePositions.round(positions, codes, row));
        sums = null;
    }

    @Override
    public void close() {}
}
