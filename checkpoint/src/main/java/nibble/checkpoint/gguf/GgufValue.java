package nibble.checkpoint.gguf;

import java.util.List;

/** Holds a metadata value to be written. */
public sealed interface GgufValue {
    record Text(String value) implements GgufValue {}

    record U32(long value) implements GgufValue {}

    record U16(int value) implements GgufValue {}

    record I32(int value) implements GgufValue {}

    record F32(float value) implements GgufValue {}

    record Flag(boolean value) implements GgufValue {}

    record Texts(List<String> values) implements GgufValue {}

    record F32s(List<Float> values) implements GgufValue {}

    record Flags(List<Boolean> values) implements GgufValue {}

    record I32s(List<Integer> values) implements GgufValue {}
}
