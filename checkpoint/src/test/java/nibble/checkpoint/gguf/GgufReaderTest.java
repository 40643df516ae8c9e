package nibble.checkpoint.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import nibble.checkpoint.source.BadCheckpointException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class GgufReaderTest {
    private static final int LIST = 9;

    private final ByteBuffer file = ByteBuffer.allocate(256).order(ByteOrder.LITTLE_ENDIAN);

    private Object value() {
        byte[] bytes = new byte[file.position()];
        file.get(0, bytes);
        return new GgufReader(Path.of("x.gguf"), MemorySegment.ofArray(bytes)).value();
    }

    static Stream<Arguments> numbers() {
        return Stream.of(
                Arguments.of(0, 1, List.of(1L, 255L)),
                Arguments.of(1, 1, List.of(1L, -1L)),
                Arguments.of(2, 2, List.of(1L, 65_535L)),
                Arguments.of(3, 2, List.of(1L, -1L)),
                Arguments.of(4, 4, List.of(1L, 0xffffffffL)),
                Arguments.of(5, 4, List.of(1L, -1L)),
                Arguments.of(7, 1, List.of(true, true)),
                Arguments.of(10, 8, List.of(1L, -1L)),
                Arguments.of(11, 8, List.of(1L, -1L)));
    }

    @ParameterizedTest
    @MethodSource("numbers")
    void a_list_has_the_values_that_its_elements_have_alone(int type, int width, List<Object> expected) {
        file.putInt(LIST).putInt(type).putLong(2).put((byte) 1).position(file.position() + width - 1);
        file.put(new byte[] {-1, -1, -1, -1, -1, -1, -1, -1}, 0, width);
        assertThat(value()).isEqualTo(expected);
        file.clear().putInt(type).put(new byte[] {-1, -1, -1, -1, -1, -1, -1, -1}, 0, width);
        assertThat(value()).isEqualTo(expected.getLast());
    }

    @Test
    void lists_of_floats_are_exact() {
        file.putInt(LIST).putInt(6).putLong(3).putFloat(0.1f).putFloat(-0.0f).putFloat(Float.NaN);
        assertThat(value()).isEqualTo(List.of((double) 0.1f, -0.0, Double.NaN));
        file.clear().putInt(LIST).putInt(12).putLong(1).putDouble(0.1);
        assertThat(value()).isEqualTo(List.of(0.1));
    }

    @Test
    void texts_of_a_list_may_be_empty_or_of_any_script() {
        List<String> texts = List.of("", "a", "\u2581\u00fcber", "\u0000\ud83d\ude00");
        file.putInt(LIST).putInt(GgufReader.TEXT).putLong(texts.size());
        for (String text : texts) {
            byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
            file.putLong(utf8.length).put(utf8);
        }
        assertThat(value()).isEqualTo(texts);
    }

    @Test
    void damaged_lists_are_refused_when_they_are_read() {
        file.putInt(LIST)
                .putInt(GgufReader.TEXT)
                .putLong(1)
                .putLong(2)
                .put((byte) 'a')
                .put((byte) 0xff);
        refused("a text that is not valid UTF-8");
        file.clear().putInt(LIST).putInt(13).putLong(0);
        refused("a value of type 13");
        file.clear().putInt(LIST).putInt(LIST).putLong(0);
        refused("a list of lists");
        file.clear().putInt(LIST).putInt(10).putLong(3).putLong(0).putLong(0);
        refused("3 list elements, more than 2");
        file.clear().putInt(LIST).putInt(GgufReader.TEXT).putLong(2).putLong(0);
        refused("2 list elements, more than 1");
        file.clear().putInt(LIST).putInt(6).putLong(1L << 62);
        refused("4611686018427387904 list elements");
        file.clear().putInt(13).putLong(0);
        refused("a value of type 13");
    }

    private void refused(String part) {
        assertThatThrownBy(this::value)
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining(part);
    }
}
