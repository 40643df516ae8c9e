package nibble.engine.cuda.driver;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;

/**
 * Fills a struct that a kernel takes by value. The kernel's own file exports the fields as an array of
 * {@code struct Field}; values are set by name, so no order stands in two places.
 */
public final class KernelStruct {
    /** Bytes of a name, then its size: as {@code struct Field} of common.cuh. */
    private static final int NAME_BYTES = 24;

    private static final int FIELD_BYTES = NAME_BYTES + Integer.BYTES;

    private record Field(int offset, int bytes) {}

    private final String name;
    private final Map<String, Field> fields = new LinkedHashMap<>();
    private final Set<String> missing;
    private final ByteBuffer values;

    /**
     * Reads the fields of a struct.
     *
     * @param name of the exported array, for messages
     * @param exported its bytes
     */
    KernelStruct(String name, byte[] exported) {
        this.name = name;
        ByteBuffer from = ByteBuffer.wrap(exported).order(ByteOrder.nativeOrder());
        int end = 0;
        int widest = 1;
        for (int at = 0; at + FIELD_BYTES <= exported.length; at += FIELD_BYTES) {
            String field = new String(exported, at, NAME_BYTES, StandardCharsets.US_ASCII);
            int bytes = from.getInt(at + NAME_BYTES);
            // A field is as wide as its alignment.
            int offset = (end + bytes - 1) / bytes * bytes;
            fields.put(field.substring(0, field.indexOf('\0')), new Field(offset, bytes));
            end = offset + bytes;
            widest = Math.max(widest, bytes);
        }
        missing = new LinkedHashSet<>(fields.keySet());
        // The driver reads the whole struct, whose size is a multiple of its alignment.
        values = ByteBuffer.allocate((end + widest - 1) / widest * widest).order(ByteOrder.nativeOrder());
    }

    /**
     * Sets an address.
     *
     * @throws IllegalArgumentException if the struct has no such field, or one of another size
     */
    public KernelStruct set(String field, long value) {
        values.putLong(place(field, Long.BYTES), value);
        return this;
    }

    /** Sets an int, as {@link #set(String, long)} sets an address. */
    public KernelStruct set(String field, int value) {
        values.putInt(place(field, Integer.BYTES), value);
        return this;
    }

    /** Sets a float, as {@link #set(String, long)} sets an address. */
    public KernelStruct set(String field, float value) {
        values.putFloat(place(field, Float.BYTES), value);
        return this;
    }

    private int place(String field, int bytes) {
        Field place = fields.get(field);
        if (place == null || place.bytes != bytes) {
            throw new IllegalArgumentException(name + " has no field " + field + " of " + bytes + " bytes");
        }
        missing.remove(field);
        return place.offset;
    }

    /**
     * Returns the struct as the kernel reads it.
     *
     * @throws IllegalStateException naming the fields that were not set
     */
    byte[] bytes() {
        if (!missing.isEmpty()) {
            throw new IllegalStateException(name + ": not set: " + String.join(", ", missing));
        }
        return values.array();
    }
}
