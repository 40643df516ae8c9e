package nibble.engine.cuda.gradient;

import nibble.engine.backend.Parameter;
import nibble.engine.cuda.driver.DeviceMemory;

/**
 * Holds the positions of a linear's codes in device memory with Adam's two means, and a gradient while it has one; the
 * codes, which it borrows, follow them.
 */
final class CudaPositions extends TunedNumbers {
    private static final String FILE = "tune_codes.cu";
    /** Parts of the buffer. */
    private static final int PARTS = 3;
    /** Codes that a thread has. */
    private static final int PER_WORD = 8;

    private final CudaCodes codes;

    CudaPositions(TuneCard card, CudaCodes codes) {
        super(card, Math.multiplyExact(codes.outFeatures(), codes.inFeatures()), PARTS, "positions of codes");
        this.codes = codes;
        card.each(FILE, "start_positions", words(), codes.codes(), address(0), codes.bits(), words());
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

    private long words() {
        return size / PER_WORD;
    }

    @Override
    public float[] values() {
        return part(0);
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
                codes.bits(),
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

    @Override
    public void follow(Parameter leader) {
        if (!(leader instanceof CudaPositions there) || there.codes.bits() != codes.bits() || there.size != size) {
            throw new IllegalArgumentException("other positions lead");
        }
        card.copy(there.card, there.codes.codes(), codes.codes(), codes.rowBytes() * codes.outFeatures());
        forgetGradient();
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
        card.each(FILE, "round_positions", words(), address(0), codes.codes(), codes.bits(), words());
        forgetGradient();
    }
}
