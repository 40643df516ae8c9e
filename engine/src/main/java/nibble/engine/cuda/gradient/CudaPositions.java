package nibble.engine.cuda.gradient;

import nibble.engine.backend.Parameter;
import nibble.engine.cuda.driver.DeviceMemory;
import org.jspecify.annotations.Nullable;

/**
 * Holds the positions of a linear's codes in device memory with Adam's two means, and a gradient while it has one; the
 * codes, which it borrows, follow them.
 */
final class CudaPositions implements Parameter {
    private static final String FILE = "tune_codes.cu";
    /** Parts of the buffer. */
    private static final int PARTS = 3;
    /** Codes in a word. */
    private static final int PER_WORD = 8;

    private final TuneCard card;
    private final CudaCodes codes;
    private final int size;
    private final DeviceMemory.Buffer numbers;
    private DeviceMemory.@Nullable Buffer gradient;

    CudaPositions(TuneCard card, CudaCodes codes) {
        this.card = card;
        this.codes = codes;
        this.size = Math.multiplyExact(codes.outFeatures(), codes.inFeatures());
        this.numbers = card.zeros((long) PARTS * size, "positions of codes");
        card.each(FILE, "start_positions", words(), codes.codes(), address(0), words());
    }

    /** Returns the device memory of so many positions without their gradient. */
    static long bytes(long size) {
        return DeviceMemory.rounded(PARTS * Float.BYTES * size);
    }

    static CudaPositions of(TuneCard card, Parameter parameter) {
        if (parameter instanceof CudaPositions found && found.card == card) {
            return found;
        }
        throw new IllegalArgumentException(
                "positions of another backend: " + parameter.getClass().getSimpleName());
    }

    private long address(int part) {
        return numbers.address() + (long) part * Float.BYTES * size;
    }

    private long words() {
        return size / PER_WORD;
    }

    /** Returns the address at which backward passes add the gradient. */
    long sums() {
        DeviceMemory.Buffer there = gradient;
        if (there == null) {
            there = card.zeros(size, "gradients of positions");
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
        return part(0);
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
                FILE,
                "move_positions",
                words(),
                address(0),
                address(1),
                address(2),
                sums(),
                codes.codes(),
                words(),
                (float) step.rate(),
                (float) (1 / step.correction()),
                (float) step.firstDecay(),
                (float) (1 - step.firstDecay()),
                (float) step.secondDecay(),
                (float) (1 - step.secondDecay()),
                (float) step.epsilon(),
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
        return new State(part(0), part(1), part(2));
    }

    @Override
    public void restore(State state) {
        card.bring(state.moved(), numbers, 0);
        card.bring(state.first(), numbers, size);
        card.bring(state.second(), numbers, 2L * size);
        card.each(FILE, "round_positions", words(), address(0), codes.codes(), words());
        forgetGradient();
    }

    @Override
    public void close() {
        forgetGradient();
        numbers.close();
    }
}
