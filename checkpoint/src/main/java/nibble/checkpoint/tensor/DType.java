package nibble.checkpoint.tensor;

import java.util.Optional;

/**
 * Lists the element types of a safetensors file; the constant's name is the type's name in the file's header. Those
 * that nothing here computes with can be listed.
 */
public enum DType {
    F64(64),
    F32(32),
    F16(16),
    BF16(16),
    I64(64),
    I32(32),
    I16(16),
    I8(8),
    U64(64),
    U32(32),
    U16(16),
    U8(8),
    BOOL(8),
    C64(64),
    F8_E5M2(8),
    F8_E4M3(8),
    F8_E8M0(8),
    F8_E5M2FNUZ(8),
    F8_E4M3FNUZ(8),
    F6_E2M3(6),
    F6_E3M2(6),
    F4(4);

    private final int bits;

    DType(int bits) {
        this.bits = bits;
    }

    /**
     * Returns the bytes of one element.
     *
     * @throws IllegalStateException for a type of which several share a byte
     */
    public int bytes() {
        if (bits % 8 != 0) {
            throw new IllegalStateException(this + " has " + bits + " bits, no whole bytes");
        }
        return bits / 8;
    }

    /**
     * Returns the bytes of so many elements.
     *
     * @throws ArithmeticException if they are more than 2^63, or no whole number
     */
    public long bytes(long elements) {
        if (bits % 8 == 0) {
            return Math.multiplyExact(elements, (long) bits / 8);
        }
        long all = Math.multiplyExact(elements, (long) bits);
        if (all % 8 != 0) {
            throw new ArithmeticException(elements + " elements of " + this + " are no whole bytes");
        }
        return all / 8;
    }

    /** Returns whether this is one of the types a model's weights may have: F16, BF16 or F32. */
    public boolean isWeight() {
        return this == F16 || this == BF16 || this == F32;
    }

    /** Returns the type of this name in a safetensors header, if it is one that is read here. */
    public static Optional<DType> named(String name) {
        for (DType type : values()) {
            if (type.name().equals(name)) {
                return Optional.of(type);
            }
        }
        return Optional.empty();
    }
}
