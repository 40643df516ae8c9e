package nibble.files;

import java.math.BigDecimal;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Writes sizes as people do: {@code 10GB} is 10,000,000,000 bytes, {@code 10GiB} is 10 * 2^30. */
public final class FileSize {
    private static final Pattern FORM =
            Pattern.compile("\\s*(\\d{1,18}(?:\\.\\d{1,9})?)\\s*([KMGT]?)(I?)(B?)\\s*", Pattern.CASE_INSENSITIVE);

    private FileSize() {}

    /**
     * Returns the bytes in {@code text}: a number, then nothing or one of B, KB, MB, GB, TB (powers of 1000) or KiB,
     * MiB, GiB, TiB
     * (powers of 1024); the B may be left out after a K, M, G or T.
     *
     * @throws IllegalArgumentException if it is no such size, not a whole positive number of bytes, or above 2^63 - 1
     */
    public static long parse(String text) {
        Matcher form = FORM.matcher(text);
        if (!form.matches() || (form.group(2).isEmpty() && !form.group(3).isEmpty())) {
            throw new IllegalArgumentException("\"" + text + "\" is not a size; write one as 500MB, 10GB or 10GiB");
        }
        int power = "KMGT".indexOf(form.group(2).toUpperCase(Locale.ROOT))
                + (form.group(2).isEmpty() ? 0 : 1);
        BigDecimal unit =
                BigDecimal.valueOf(form.group(3).isEmpty() ? 1000 : 1024).pow(power);
        try {
            long bytes = new BigDecimal(form.group(1)).multiply(unit).longValueExact();
            if (bytes > 0) {
                return bytes;
            }
        } catch (ArithmeticException e) {
            throw new IllegalArgumentException(
                    "\"" + text + "\" is not a whole number of bytes below 2^63; write a size as 500MB, 10GB or 10GiB",
                    e);
        }
        throw new IllegalArgumentException("\"" + text + "\" is no bytes at all; write a size as 500MB, 10GB or 10GiB");
    }
}
