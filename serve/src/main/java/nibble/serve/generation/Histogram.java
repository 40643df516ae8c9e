package nibble.serve.generation;

import java.util.Locale;
import java.util.concurrent.atomic.DoubleAdder;
import java.util.concurrent.atomic.LongAdder;

/** Counts values by upper bounds, as Prometheus has it. Thread-safe. */
final class Histogram {
    private final double[] bounds;
    private final LongAdder[] counts;
    private final DoubleAdder sum = new DoubleAdder();

    Histogram(double... bounds) {
        this.bounds = bounds;
        counts = new LongAdder[bounds.length + 1];
        for (int i = 0; i < counts.length; i++) {
            counts[i] = new LongAdder();
        }
    }

    void observe(double value) {
        int place = 0;
        while (place < bounds.length && value > bounds[place]) {
            place++;
        }
        counts[place].increment();
        sum.add(value);
    }

    /** Writes it in Prometheus' text form. */
    void write(StringBuilder out, String name, String labels) {
        long total = 0;
        for (int i = 0; i < counts.length; i++) {
            total += counts[i].sum();
            String bound = i == bounds.length ? "+Inf" : number(bounds[i]);
            out.append("%s_bucket{%s,le=\"%s\"} %d\n".formatted(name, labels, bound, total));
        }
        out.append("%s_count{%s} %d\n".formatted(name, labels, total));
        out.append("%s_sum{%s} %s\n".formatted(name, labels, number(sum.sum())));
    }

    static String number(double value) {
        return value == Math.rint(value) && Math.abs(value) < 1e15
                ? String.format(Locale.ROOT, "%.1f", value)
                : Double.toString(value);
    }
}
