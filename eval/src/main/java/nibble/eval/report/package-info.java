/**
 * What was measured, for people: Markdown for a model card, and one HTML page with plots that needs nothing from the
 * network.
 *
 * <p>Start at {@link nibble.eval.report.Report}.
 */
@NullMarked
package nibble.eval.report;

import org.jspecify.annotations.NullMarked;
