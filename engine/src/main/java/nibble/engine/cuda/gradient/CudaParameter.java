package nibble.engine.cuda.gradient;

import nibble.engine.backend.Parameter;
import nibble.engine.cuda.driver.DeviceMemory;
import org.jspecify.annotations.Nullable;

/** Holds a parameter in device memory: start, change and Adam's two means, and a gradient while it has one. */
final class CudaParameter implements Parameter {
    /** Parts of the buffer. */
    private static final int PARTS = 4;

    private final TuneCard card;
    private final int size;
    private final DeviceMemory.Buffer numbers;
    private DeviceMemory.@Nullable Buffer gradient;

    CudaParameter(TuneCard card, float[] start) {
        this.card = card;
        this.size = start.length;
        this.numbers = card.zeros((long) PARTS * size, "numbers that are tuned");
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

    private long address(int part) {
        return numbers.address() + (long) part * Float.BYTES * size;
    }

    long start() {
        return address(0);
    }

    long change() {
        return address(1);
    }

    /** Returns the address at which backward passes add the gradient. */
    long sums() {
        DeviceMemory.Buffer there = gradient;
        if (there == null) {
            there = card.zeros(size, "gradients");
            gradient = there;
        }
        return there.address();
    }

    @Override
    public int size() {
        return size;
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
    public float[] gradient() {
        DeviceMemory.Buffer there = gradient;
        return there == null ? new float[size] : card.fetch(there, 0, size);
    }

    @Override
    public void addGradient(float[] more) {
        long to = sums();
        try (DeviceMemory.Buffer brought = card.floats(size, "gradients")) {
            card.bring(more, brought, 0);
            card.each("tune_layer.cu", "add", size, brought.address(), to, (long) size);
        }
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

    private void forgetGradient() {
        if (gradient != null) {
            gradient.close();
            gradient = null;
        }
    }

    private float[] part(int part) {
        return card.fetch(numbers, (long) part * size, size);
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

    @Override
    public void close() {
        forgetGradient();
        numbers.close();
    }
}
