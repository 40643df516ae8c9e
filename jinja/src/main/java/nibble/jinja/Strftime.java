package nibble.jinja;

import java.time.ZonedDateTime;
import java.time.format.TextStyle;
import java.time.temporal.ChronoField;
import java.time.temporal.IsoFields;
import java.util.Locale;
import nibble.jinja.python.Budget;

/** C's strftime in the locale C, as Python calls it. */
final class Strftime {
    private Strftime() {}

    static String format(ZonedDateTime time, String format) {
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < format.length(); i++) {
            char c = format.charAt(i);
            if (c != '%' || i + 1 == format.length()) {
                out.append(c);
                continue;
            }
            char field = format.charAt(++i);
            if (field == '-' && i + 1 < format.length()) {
                String value = field(time, format.charAt(++i));
                out.append(value.replaceFirst("^[0 ]+(?=.)", ""));
            } else {
                out.append(field(time, field));
            }
            Budget.step();
        }
        Budget.characters(out.length());
        return out.toString();
    }

    private static String two(int value) {
        return (value < 10 ? "0" : "") + value;
    }

    private static String field(ZonedDateTime time, char field) {
        int hour = time.getHour();
        int twelve = hour % 12 == 0 ? 12 : hour % 12;
        return switch (field) {
            case 'd' -> two(time.getDayOfMonth());
            case 'e' -> String.format(Locale.ROOT, "%2d", time.getDayOfMonth());
            case 'm' -> two(time.getMonthValue());
            case 'Y' -> String.valueOf(time.getYear());
            case 'y' -> two(time.getYear() % 100);
            case 'C' -> two(time.getYear() / 100);
            case 'H' -> two(hour);
            case 'I' -> two(twelve);
            case 'k' -> String.format(Locale.ROOT, "%2d", hour);
            case 'l' -> String.format(Locale.ROOT, "%2d", twelve);
            case 'M' -> two(time.getMinute());
            case 'S' -> two(time.getSecond());
            case 'f' -> String.format(Locale.ROOT, "%06d", time.getNano() / 1000);
            case 'p' -> hour < 12 ? "AM" : "PM";
            case 'P' -> hour < 12 ? "am" : "pm";
            case 'b', 'h' -> time.getMonth().getDisplayName(TextStyle.SHORT, Locale.ENGLISH);
            case 'B' -> time.getMonth().getDisplayName(TextStyle.FULL, Locale.ENGLISH);
            case 'a' -> time.getDayOfWeek().getDisplayName(TextStyle.SHORT, Locale.ENGLISH);
            case 'A' -> time.getDayOfWeek().getDisplayName(TextStyle.FULL, Locale.ENGLISH);
            case 'j' -> String.format(Locale.ROOT, "%03d", time.getDayOfYear());
            case 'u' -> String.valueOf(time.getDayOfWeek().getValue());
            case 'w' -> String.valueOf(time.getDayOfWeek().getValue() % 7);
            case 'U' -> two((time.getDayOfYear() + 6 - time.getDayOfWeek().getValue() % 7) / 7);
            case 'W' -> two((time.getDayOfYear() + 6 - (time.getDayOfWeek().getValue() + 6) % 7) / 7);
            case 'V' -> two(time.get(IsoFields.WEEK_OF_WEEK_BASED_YEAR));
            case 'G' -> String.valueOf(time.get(IsoFields.WEEK_BASED_YEAR));
            case 'g' -> two(time.get(IsoFields.WEEK_BASED_YEAR) % 100);
            case 's' -> String.valueOf(time.getLong(ChronoField.INSTANT_SECONDS));
            case 'D', 'x' -> format(time, "%m/%d/%y");
            case 'F' -> format(time, "%Y-%m-%d");
            case 'T', 'X' -> format(time, "%H:%M:%S");
            case 'R' -> format(time, "%H:%M");
            case 'r' -> format(time, "%I:%M:%S %p");
            case 'c' -> format(time, "%a %b %e %H:%M:%S %Y");
            case 'n' -> "\n";
            case 't' -> "\t";
            case '%' -> "%";
            // transformers asks a time without a zone.
            case 'z', 'Z' -> "";
            default -> "%" + field;
        };
    }
}
