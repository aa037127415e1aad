"""Facebook ads for Flowzz: campaigns, ad sets, ads and what they did each day, by a sync every six hours."""
