package nibble.convert;

import java.util.List;
import nibble.convert.ConversionReport.Underflow;
import nibble.convert.ConversionRun.Item;
import nibble.convert.ConversionRun.Sink;

/** Says what of a conversion this process does. */
public sealed interface ConversionShare {
    /** Does all of it. */
    ConversionShare WHOLE = new Whole();

    /** Does all of it. */
    record Whole() implements ConversionShare {}

    /** Makes some items and leaves the output alone. */
    record Part(Maker maker) implements ConversionShare {}

    /** Writes what other processes make of the items. */
    record Assembly(Supply supply) implements ConversionShare {}

    /** Makes items, as the caller has them written. */
    @FunctionalInterface
    interface Maker {
        /** Takes all items of the conversion, and makes those that it wants. */
        void make(List<Item> items);
    }

    /** Supplies what other processes made. */
    interface Supply {
        /** Hears of all items, before the first is asked for. */
        void begin(List<Item> items);

        /**
         * Waits for an item and writes it. Asked for in order, from the first that is not durable on.
         *
         * @return what was lost below fp16's normal range
         */
        List<Underflow> write(int item, Sink to);
    }
}
