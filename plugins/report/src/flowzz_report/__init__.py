"""Reports for Flowzz: what other plugins stored, as a PDF, a workbook or a CSV behind an expiring link."""
