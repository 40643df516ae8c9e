package nibble.engine.cuda.driver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

/** The struct {@code {int count; void* data; float scale; int last;}} as a kernel file would export its fields. */
class KernelStructTest {
    private static KernelStruct struct() {
        ByteBuffer fields = ByteBuffer.allocate(4 * 28).order(ByteOrder.nativeOrder());
        field(fields, "count", 4);
        field(fields, "data", 8);
        field(fields, "scale", 4);
        field(fields, "last", 4);
        return new KernelStruct("fields of a.cu", fields.array());
    }

    private static void field(ByteBuffer into, String name, int bytes) {
        int start = into.position();
        into.put(name.getBytes(StandardCharsets.US_ASCII)).position(start + 24).putInt(bytes);
    }

    @Test
    void a_pointer_after_an_int_begins_at_a_multiple_of_eight() {
        KernelStruct struct =
                struct().set("last", 9).set("scale", 0.5f).set("data", 1L << 40).set("count", 7);

        ByteBuffer bytes = ByteBuffer.wrap(struct.bytes()).order(ByteOrder.nativeOrder());

        assertThat(bytes.capacity()).isEqualTo(24);
        assertThat(bytes.getInt(0)).isEqualTo(7);
        assertThat(bytes.getLong(8)).isEqualTo(1L << 40);
        assertThat(bytes.getFloat(16)).isEqualTo(0.5f);
        assertThat(bytes.getInt(20)).isEqualTo(9);
    }

    @Test
    void a_struct_that_ends_in_an_int_is_as_long_as_its_alignment_asks() {
        ByteBuffer fields = ByteBuffer.allocate(2 * 28).order(ByteOrder.nativeOrder());
        field(fields, "data", 8);
        field(fields, "count", 4);

        assertThat(new KernelStruct("fields", fields.array())
                        .set("data", 1L)
                        .set("count", 2)
                        .bytes())
                .hasSize(16);
    }

    @Test
    void a_field_that_was_not_set_is_named() {
        KernelStruct struct = struct().set("data", 1L).set("last", 0);

        assertThatThrownBy(struct::bytes)
                .isInstanceOf(IllegalStateException.class)
                .hasMessage("fields of a.cu: not set: count, scale");
    }

    @Test
    void a_field_that_the_kernel_lacks_or_has_in_another_size_is_refused() {
        KernelStruct struct = struct();

        assertThatThrownBy(() -> struct.set("heads", 1))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("fields of a.cu has no field heads of 4 bytes");
        assertThatThrownBy(() -> struct.set("count", 1L)).hasMessage("fields of a.cu has no field count of 8 bytes");
    }
}
