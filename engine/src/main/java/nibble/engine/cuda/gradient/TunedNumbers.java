package nibble.engine.cuda.gradient;

import nibble.engine.backend.Parameter;
import nibble.engine.cuda.driver.DeviceMemory;
import org.jspecify.annotations.Nullable;

/** Holds a parameter's numbers in device memory, in parts of one buffer, and a gradient while it has one. */
abstract class TunedNumbers implements Parameter {
    final TuneCard card;
    final int size;
    final DeviceMemory.Buffer numbers;
    private final String what;
    private DeviceMemory.@Nullable Buffer gradient;

    /**
     * Allocates the buffer, all zero.
     *
     * @param size numbers of a part
     * @param what they are, for messages
     */
    TunedNumbers(TuneCard card, int size, int parts, String what) {
        this.card = card;
        this.size = size;
        this.what = what;
        this.numbers = card.zeros((long) parts * size, what);
    }

    final long address(int part) {
        return numbers.address() + (long) part * Float.BYTES * size;
    }

    final float[] part(int part) {
        return card.fetch(numbers, (long) part * size, size);
    }

    /** Returns the address at which backward passes add the gradient. */
    final long sums() {
        DeviceMemory.Buffer there = gradient;
        if (there == null) {
            there = card.zeros(size, "gradients of " + what);
            gradient = there;
        }
        return there.address();
    }

    final void forgetGradient() {
        if (gradient != null) {
            gradient.close();
            gradient = null;
        }
    }

    @Override
    public int size() {
        return size;
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
            add(brought.address(), to);
        }
    }

    @Override
    public void addGradientOf(Parameter other) {
        if (!(other instanceof TunedNumbers there) || there.size != size) {
            throw new IllegalArgumentException("gradient of other numbers than " + what);
        }
        long from = there.sums();
        long to = sums();
        if (there.card == card) {
            add(from, to);
            return;
        }
        try (DeviceMemory.Buffer brought = card.floats(size, "gradients of another card")) {
            card.copy(there.card, from, brought.address(), (long) Float.BYTES * size);
            add(brought.address(), to);
        }
    }

    private void add(long from, long to) {
        card.each("tune_layer.cu", "add", size, from, to, (long) size);
    }

    @Override
    public void close() {
        forgetGradient();
        numbers.close();
    }
}
