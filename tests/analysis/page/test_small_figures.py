"""The small figures of the page."""

from xml.etree import ElementTree

from raysweep.analysis.page.small_figures import loss_curve


def test_a_loss_curve_goes_from_the_first_point_down_to_the_last():
    svg = ElementTree.fromstring(loss_curve([(1, 4.0), (51, 2.0), (101, 1.0)]))
    points = [tuple(map(float, point.split(","))) for point in svg[0].get("points").split()]
    assert points == [(3.0, 3.0), (60.0, 13.0), (117.0, 18.0)]
    assert loss_curve([(1, 4.0)]) == loss_curve([]) == ""
