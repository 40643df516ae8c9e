package nibble.engine.cuda.gradient;

import nibble.engine.backend.Parameter;
import nibble.engine.cuda.driver.DeviceMemory;

/** Holds a parameter in device memory: start, change and Adam's two means, and a gradient while it has one. */
final class CudaParameter extends TunedNumbers {
    /** Parts of the buffer. */
    private static final int PARTS = 4;

    CudaParameter(TuneCard card, float[] start) {
        super(card, start.length, PARTS, "numbers that are tuned");
        card.bring(start, numbers, 0);
    }

    /** Returns the device memory of a parameter without its gradient. */
    static long bytes(long size) {
        return DeviceMemory.rounded(PARTS * Float.BYTES * size);
    }

    static CudaParameter of(TuneCard card, Parameter parameter) {
        if (parameter instanceof CudaParameter found && found.card == card) {
            return found;
        }
        throw new IllegalArgumentException(
                "parameter of another backend: " + parameter.getClass().getSimpleName());
    }

    long start() {
        return address(0);
    }

    long change() {
        return address(1);
    }

    @Override
    public float[] values() {
        float[] values = part(0);
        float[] change = part(1);
        for (int i = 0; i < size; i++) {
            values[i] *= 1 + change[i];
        }
        return values;
    }

    @Override
    public void move(AdamStep step) {
        card.each(
                "tune_codes.cu",
                "adam",
                size,
                start(),
                change(),
                address(2),
                address(3),
                sums(),
                (long) size,
                step.rate(),
                step.correction(),
                step.firstDecay(),
                step.secondDecay(),
                step.epsilon(),
                step.least(),
                step.most());
        forgetGradient();
    }

    @Override
    public void follow(Parameter leader) {
        if (!(leader instanceof CudaParameter there) || there.size != size) {
            throw new IllegalArgumentException("another parameter leads");
        }
        card.copy(there.card, there.change(), change(), (long) Float.BYTES * size);
        forgetGradient();
    }

    @Override
    public State state() {
        return new State(part(1), part(2), part(3));
    }

    @Override
    public void restore(State state) {
        card.bring(state.moved(), numbers, size);
        card.bring(state.first(), numbers, 2L * size);
        card.bring(state.second(), numbers, 3L * size);
        forgetGradient();
    }
}
