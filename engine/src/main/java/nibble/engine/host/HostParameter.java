package nibble.engine.host;

import java.util.Arrays;
import nibble.engine.backend.Parameter;

/** Holds a parameter on the Java heap. */
final class HostParameter implements Parameter {
    private final float[] start;
    private final float[] change;
    private final float[] first;
    private final float[] second;
    private final float[] numbers;
    private final float[] sums;

    HostParameter(float[] start) {
        this.start = start.clone();
        this.change = new float[start.length];
        this.first = new float[start.length];
        this.second = new float[start.length];
        this.numbers = start.clone();
        this.sums = new float[start.length];
    }

    static HostParameter of(Parameter parameter) {
        if (parameter instanceof HostParameter host) {
            return host;
        }
        throw new IllegalArgumentException(
                "parameter of another backend: " + parameter.getClass().getSimpleName());
    }

    /** Returns the numbers as they are now, not a copy. */
    static float[] numbers(Parameter parameter) {
        return of(parameter).numbers;
    }

    /** Returns the gradient of the numbers, not a copy. */
    static float[] sums(Parameter parameter) {
        return of(parameter).sums;
    }

    @Override
    public int size() {
        return start.length;
    }

    @Override
    public float[] values() {
        return numbers.clone();
    }

    @Override
    public float[] gradient() {
        return sums.clone();
    }

    @Override
    public void addGradient(float[] more) {
        for (int i = 0; i < sums.length; i++) {
            sums[i] += more[i];
        }
    }

    @Override
    public void addGradientOf(Parameter other) {
        addGradient(of(other).sums);
    }

    @Override
    public void follow(Parameter leader) {
        System.arraycopy(of(leader).change, 0, change, 0, change.length);
        moved();
    }

    @Override
    public void move(AdamStep step) {
        for (int i = 0; i < change.length; i++) {
            double slope = sums[i] * start[i];
            first[i] = (float) (step.firstDecay() * first[i] + (1 - step.firstDecay()) * slope);
            second[i] = (float) (step.secondDecay() * second[i] + (1 - step.secondDecay()) * slope * slope);
            double move = step.rate() * first[i] / (Math.sqrt(second[i] / step.correction()) + step.epsilon());
            change[i] = Math.clamp((float) (change[i] - move), step.least(), step.most());
        }
        moved();
    }

    private void moved() {
        for (int i = 0; i < start.length; i++) {
            numbers[i] = start[i] * (1 + change[i]);
        }
        Arrays.fill(sums, 0f);
    }

    @Override
    public State state() {
        return new State(change.clone(), first.clone(), second.clone());
    }

    @Override
    public void restore(State state) {
        System.arraycopy(state.moved(), 0, change, 0, change.length);
        System.arraycopy(state.first(), 0, first, 0, first.length);
        System.arraycopy(state.second(), 0, second, 0, second.length);
        moved();
    }

    @Override
    public void close() {}
}
