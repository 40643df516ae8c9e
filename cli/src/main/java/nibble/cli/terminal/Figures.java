package nibble.cli.terminal;

import java.util.Locale;

/** Writes figures for people. */
public final class Figures {
    private Figures() {}

    /**
     * Writes bytes in decimal units with two decimals, as {@code 36.61 GB}: the unit of model repositories and of
     * disks.
     */
    public static String bytes(long bytes) {
        if (bytes < 1000) {
            return bytes + " B";
        }
        double value = bytes;
        String unit = "";
        for (String next : new String[] {"kB", "MB", "GB", "TB", "PB"}) {
            if (value < 1000) {
                break;
            }
            value /= 1000;
            unit = next;
        }
        return String.format(Locale.ROOT, "%.2f %s", value, unit);
    }

    /** Writes seconds as {@code 0.42 s}, {@code 42 s}, {@code 7 min 05 s} or {@code 3 h 20 min}. */
    public static String duration(double seconds) {
        if (seconds < 10) {
            return String.format(Locale.ROOT, "%.2f s", seconds);
        }
        long whole = Math.round(seconds);
        if (whole < 60) {
            return whole + " s";
        }
        if (whole < 3600) {
            return String.format(Locale.ROOT, "%d min %02d s", whole / 60, whole % 60);
        }
        return String.format(Locale.ROOT, "%d h %02d min", whole / 3600, whole % 3600 / 60);
    }

    public static String decimals(double value, int places) {
        return String.format(Locale.ROOT, "%." + places + "f", value);
    }
}
