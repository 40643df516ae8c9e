package nibble.convert;

import java.util.Optional;

/** Element types of a safetensors file; the constant's name is the type's name in the file's header. */
public enum DType {
    F64(8),
    F32(4),
    F16(2),
    BF16(2),
    I64(8),
    I32(4),
    I16(2),
    I8(1),
    U8(1),
    BOOL(1);

    private final int bytes;

    DType(int bytes) {
        this.bytes = bytes;
    }

    /** Bytes of one element. */
    public int bytes() {
        return bytes;
    }

    /** Whether this is one of the types a model's weights may have: F16, BF16 or F32. */
    public boolean isWeight() {
        return this == F16 || this == BF16 || this == F32;
    }

    /** The type of this name in a safetensors header, if it is one that is read here. */
    public static Optional<DType> named(String name) {
        for (DType type : values()) {
            if (type.name().equals(name)) {
                return Optional.of(type);
            }
        }
        return Optional.empty();
    }
}
